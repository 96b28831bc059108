"use strict";
// What keeps a page live and works its buttons. All it shows comes from the server's own pages and API.
const Page = (() => {
  const say = (text, bad = false) => {
    const line = document.createElement("p");
    line.textContent = text;
    line.className = bad ? "bad" : "";
    document.getElementById("say").append(line);
    setTimeout(() => line.remove(), bad ? 12000 : 5000);
  };

  /** Ask the API; gives the answer's value and headers, or throws its sentence. */
  async function call(action, params) {
    const body = new URLSearchParams({ ...params, action });
    const reply = await fetch("/", { method: "POST", body, headers: { Accept: "application/json" } });
    const text = await reply.text();
    const value = text ? JSON.parse(text) : null;
    if (!reply.ok) throw new Error(value?.error?.message ?? `The server answered ${reply.status}.`);
    return { value, headers: reply.headers };
  }

  const ago = (seconds) => {
    const ahead = seconds < 0;
    let rest = Math.abs(seconds), unit = "s";
    for (const [step, name] of [[60, "min"], [60, "h"], [24, "d"], [7, "w"], [52, "y"]]) {
      if (rest < step) break;
      rest /= step;
      unit = name;
    }
    const text = `${Math.floor(rest)} ${unit}`;
    return ahead && rest > 1 ? `in ${text}` : `${text} ago`;
  };

  function tick() {
    const now = Date.now() / 1000 + Page.ahead;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const text = ago(now - Number(time.dataset.ago));
      if (time.textContent !== text) time.textContent = text;
    }
    for (const bar of document.querySelectorAll("progress[data-since][max]"))
      bar.value = Math.min(now - Number(bar.dataset.since), Number(bar.max) * 0.97);
  }

  /** Put fresh content in the place of the live parts that changed. */
  async function refresh() {
    const reply = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!reply.ok) throw new Error(`The server answered ${reply.status}.`);
    const sent = Date.parse(reply.headers.get("Date") ?? "");
    if (sent && Math.abs(sent - Date.now()) > 2000) Page.ahead = (sent - Date.now()) / 1000;
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || normal(other) === normal(part) || part.contains(document.activeElement) && holds(part)) continue;
      const where = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      part.replaceChildren(...other.childNodes);
      if (where) part.querySelector(`a[href="${CSS.escape(where)}"]`)?.focus();
    }
    tick();
    return fresh;
  }

  /** Somebody types or chooses there; that must not be taken from under their hands. */
  const holds = (part) => part.querySelector("input:focus, select:focus, button:focus") !== null;
  const normal = (part) => {
    const copy = part.cloneNode(true);
    for (const time of copy.querySelectorAll("time[data-ago]")) time.textContent = "";
    for (const bar of copy.querySelectorAll("progress")) bar.removeAttribute("value");
    return copy.innerHTML;
  };

  async function keepLive() {
    let pause = 2000;
    for (;;) {
      await new Promise((done) => setTimeout(done, pause));
      if (document.hidden) continue;
      const began = performance.now();
      try {
        await refresh();
        document.body.classList.remove("lost");
        pause = Math.max(2000, (performance.now() - began) * 20);
      } catch {
        document.body.classList.add("lost");
        pause = Math.min(pause * 2, 30000);
      }
    }
  }

  async function press(button) {
    const params = JSON.parse(button.dataset.params);
    for (const name of Object.keys(params).filter((one) => one.endsWith("?"))) {
      const told = prompt(params[name]);
      delete params[name];
      if (told === null) return;
      if (told) params[name.slice(0, -1)] = told;
    }
    button.disabled = true;
    try {
      const { value, headers } = await call(button.dataset.do, params);
      done(button.dataset.do, params, value, headers);
      await refresh().catch(() => {});
    } catch (error) {
      say(error.message, true);
    } finally {
      button.disabled = false;
    }
  }

  function done(action, params, value, headers) {
    const build = headers.get("X-Build-Id") ?? (action === "rerun" ? value?.build : null);
    if (build) { location.assign(`/-/builds/${build}`); return; }
    if (action === "replay") { showVerdict(value); return; }
    say({ cancel: "The build is told to end.", pause: "Paused: builds wait now.", resume: "Goes on." }[action] ?? "Done.");
  }

  function showVerdict(verdict) {
    const box = document.getElementById("tried");
    const line = document.createElement("p");
    const made = verdict.builds.length;
    const word = verdict.code ? "refused" : verdict.reason ? "nothing to do" : "accepted";
    line.textContent = verdict.dry_run
      ? `If it came again: ${word}${verdict.reason ? `, ${verdict.reason}` : ""}. Builds it would make: ${verdict.previews.length}.`
      : `${word}${verdict.reason ? `: ${verdict.reason}` : ""}.${made ? "" : " No build came of it."}`;
    box.replaceChildren(line);
    for (const preview of verdict.previews ?? []) {
      const list = document.createElement("ol");
      for (const action of preview.actions) {
        const item = document.createElement("li"), code = document.createElement("code");
        code.textContent = action.command;
        item.append(code);
        list.append(item);
      }
      box.append(list);
    }
    for (const id of verdict.builds) {
      const link = document.createElement("a");
      link.href = `/-/builds/${id}`;
      link.textContent = `Build ${id} `;
      box.append(link);
    }
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  }

  async function send(form) {
    const params = Object.fromEntries([...new FormData(form)].filter(([, text]) => text !== ""));
    try {
      const action = form.getAttribute("data-form");
      const { value, headers } = await call(action, params);
      done(action, params, value, headers);
    } catch (error) {
      say(error.message, true);
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) press(button);
    if (event.target.closest("[data-theme-switch]")) {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* Then it lasts as long as the page. */ }
    }
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-form]")) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) return;
    const field = document.querySelector("input[type=search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".narrow select")) event.target.form.requestSubmit();
  });
  let typed;
  document.querySelector("[data-find]")?.addEventListener("input", (event) => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const address = new URL(location.href);
      address.searchParams.set("q", event.target.value);
      address.searchParams.delete("page");
      history.replaceState(null, "", address);
      refresh().catch(() => {});
    }, 150);
  });

  const page = { call, say, refresh, tick, ahead: 0 };
  setInterval(tick, 1000);
  if (document.querySelector("[data-live]")) setTimeout(keepLive);
  return page;
})();
