// Before anything is painted: the theme that was chosen here, and that there is JavaScript.
(() => {
  const root = document.documentElement;
  root.classList.add("with-js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch { /* Storage may be switched off; then the system's theme it is. */ }
})();
