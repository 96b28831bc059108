"use strict";
// The log of one build: live, searchable, and light however long it gets. Lines are kept as text;
// only the blocks that are near the window are elements.
(() => {
  const log = document.getElementById("log");
  if (!log) return;
  const BLOCK = 200, STEP = 5000, LINE_HEIGHT = 1.45;
  const parts = document.getElementById("parts");
  const follow = log.querySelector("[data-follow]"), wrap = log.querySelector("[data-wrap]");
  const build = log.dataset.build;
  const state = { last: Number(log.dataset.last), earlier: Number(log.dataset.earlier), ended: log.dataset.ended === "1", begun: 0 };
  const sections = [];

  // Blocks of lines

  class Block {
    constructor() {
      this.records = [];
      this.drawn = false;
      this.element = document.createElement("div");
      this.element.className = "chunk";
      this.element.block = this;
      watcher.observe(this.element);
    }
    get first() { return this.records[0].id; }
    get last() { return this.records[this.records.length - 1].id; }
    size() {
      if (this.drawn) return;
      const height = this.height ?? this.records.length * LINE_HEIGHT * lineSize();
      this.element.style.height = `${height}px`;
    }
    draw() {
      if (this.drawn) return;
      this.drawn = true;
      this.element.style.height = "";
      this.element.replaceChildren(...this.records.map(drawLine));
    }
    drop() {
      if (!this.drawn || this.element.querySelector(":target, .here")) return;
      this.height = this.element.offsetHeight;
      this.drawn = false;
      this.element.replaceChildren();
      this.size();
    }
    add(record) {
      this.records.push(record);
      if (this.drawn) this.element.append(drawLine(record));
      else this.size();
    }
  }

  const watcher = new IntersectionObserver((seen) => {
    for (const one of seen) one.isIntersecting ? one.target.block.draw() : one.target.block.drop();
  }, { rootMargin: "1200px 0px" });

  let known;
  const lineSize = () => known ??= parseFloat(getComputedStyle(parts.querySelector(".lines") ?? log).fontSize);
  const clock = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds)), two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
  };

  function drawLine(record) {
    const line = document.createElement("div"), link = document.createElement("a"), text = document.createElement("span");
    line.className = `l ${record.stream === "stderr" ? "err" : record.stream ? "out" : `own v${record.level_number}`}`;
    line.id = `L${record.id}`;
    if (record.id === found.here) line.classList.add("here");
    link.href = `#L${record.id}`;
    link.tabIndex = -1;
    link.ariaHidden = "true";
    link.dataset.n = clock(record.timestamp - state.begun);
    for (const [classes, piece] of Ansi.spans(record.message)) {
      const span = document.createElement("span");
      if (classes) span.className = classes;
      mark(span, piece);
      text.append(span);
    }
    line.append(link, text);
    return line;
  }

  function mark(span, piece) {
    const wanted = found.text;
    if (!wanted) { span.textContent = piece; return; }
    const lower = piece.toLowerCase();
    let end = 0;
    for (let at = lower.indexOf(wanted); at >= 0; at = lower.indexOf(wanted, end)) {
      const hit = document.createElement("mark");
      hit.textContent = piece.slice(at, at + wanted.length);
      span.append(piece.slice(end, at), hit);
      end = at + wanted.length;
    }
    span.append(piece.slice(end));
  }

  // Sections: an action's lines each, and those between

  class Section {
    constructor(element, from) {
      this.element = element;
      this.from = from;
      this.lines = element.querySelector(".lines");
      this.blocks = [];
    }
    append(record) {
      let block = this.blocks[this.blocks.length - 1];
      if (!block || block.records.length >= BLOCK) {
        block = new Block();
        this.blocks.push(block);
        this.lines.append(block.element);
      }
      block.add(record);
    }
    prepend(records) {
      const blocks = [];
      for (let start = 0; start < records.length; start += BLOCK) {
        const block = new Block();
        block.records = records.slice(start, start + BLOCK);
        block.size();
        blocks.push(block);
      }
      this.blocks.unshift(...blocks);
      this.lines.prepend(...blocks.map((block) => block.element));
    }
  }

  const sectionOf = (id) => {
    let fitting = sections[0];
    for (const section of sections) if (section.from <= id) fitting = section;
    return fitting;
  };

  function makeSection(outcome) {
    const element = document.createElement(outcome ? "details" : "div");
    element.className = "part";
    if (outcome) {
      element.open = true;
      element.dataset.part = outcome.position;
      element.append(document.createElement("summary"));
    }
    const lines = document.createElement("div");
    lines.className = "lines";
    element.append(lines);
    const section = new Section(element, outcome ? outcome.first_record : 0);
    const place = sections.findIndex((one) => one.from > section.from);
    if (place < 0) { sections.push(section); parts.append(element); }
    else { parts.insertBefore(element, sections[place].element); sections.splice(place, 0, section); }
    return section;
  }

  /** Take over what the server has drawn. */
  function adopt(records) {
    for (const element of parts.children) sections.push(new Section(element, Number(element.dataset.from ?? 0)));
    if (sections.length > 1) {
      const last = sections[sections.length - 1];
      const first = last.element.querySelector(".l");
      if (!last.element.dataset.from && first) last.from = Number(first.id.slice(1));
    }
    if (!sections.length || sections[0].from) makeSection(null);
    for (const section of sections) section.lines.replaceChildren();
    for (const record of records) sectionOf(record.id).append(record);
  }

  // What comes

  function take(record) {
    if (record.id <= state.last) return;
    state.last = record.id;
    sectionOf(record.id).append(record);
    if (found.text && Ansi.plain(record.message).toLowerCase().includes(found.text)) { found.ids.push(record.id); tell(); }
    if (follow.checked) scrollSoon();
  }

  let scrolling = false;
  function scrollSoon() {
    if (scrolling) return;
    scrolling = true;
    requestAnimationFrame(() => {
      scrolling = false;
      scrollTo({ top: document.documentElement.scrollHeight });
    });
  }

  async function describe() {
    const { value } = await Page.call("build", { id: build });
    drawOutcomes(value);
  }

  function drawOutcomes(value) {
    state.begun = value.started ?? value.queued;
    for (const outcome of value.outcomes) {
      if (outcome.first_record === null) continue;
      let section = sections.find((one) => one.element.dataset.part === String(outcome.position));
      if (!section) {
        section = makeSection(outcome);
        moveInto(section);
      }
      drawSummary(section, outcome);
    }
  }

  /** Lines that came before their action was known go to where they belong. */
  function moveInto(section) {
    const before = sections[sections.indexOf(section) - 1];
    if (!before) return;
    for (const block of before.blocks) {
      const moved = block.records.filter((record) => record.id >= section.from);
      if (!moved.length) continue;
      block.records = block.records.filter((record) => record.id < section.from);
      if (block.drawn) { block.drawn = false; block.draw(); } else block.size();
      for (const record of moved) section.append(record);
    }
    before.blocks = before.blocks.filter((block) => block.records.length || block.element.remove());
  }

  const SYMBOLS = { completed: "complete", halted: "cancelled" };
  function drawSummary(section, outcome) {
    const summary = section.element.querySelector("summary");
    const look = JSON.stringify(outcome);
    if (summary.dataset.look === look) return;
    summary.dataset.look = look;
    section.element.className = `part s-${outcome.status}`;
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    icon.setAttribute("class", "icon");
    icon.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#i-${SYMBOLS[outcome.status] ?? outcome.status}`);
    icon.append(use);
    const piece = (name, text, kind) => Object.assign(document.createElement(name), { textContent: text, className: kind ?? "" });
    const facts = piece("span", "", "facts-of");
    if (outcome.reason) facts.append(piece("span", outcome.reason, "reason"));
    if (outcome.duration !== null) facts.append(piece("span", `${outcome.duration.toFixed(1)} s`));
    if (outcome.cpu !== null) facts.append(piece("span", `cpu ${outcome.cpu.toFixed(1)} s`, "spare"));
    if (outcome.memory !== null) facts.append(piece("span", `${(outcome.memory / 1e6).toFixed(1)} MB`, "spare"));
    summary.replaceChildren(icon, piece("span", `${outcome.status}:`, "unseen"), piece("code", outcome.command), facts);
  }

  async function fetchRecords(params) {
    const query = new URLSearchParams({ action: "logs", build, level: "1", per_page: String(STEP), ...params });
    const reply = await fetch(`/?${query}`, { headers: { Accept: "application/json" } });
    if (!reply.ok) throw new Error(`The server answered ${reply.status}.`);
    return { records: await reply.json(), next: reply.headers.get("X-Next") };
  }

  /** Everything before what is there, step by step, backwards. */
  async function loadEarlier() {
    const word = document.getElementById("earlier");
    while (state.earlier) {
      const { records, next } = await fetchRecords({ before: String(state.earlier) });
      records.reverse();
      const groups = new Map();
      for (const record of records) {
        const section = sectionOf(record.id);
        groups.set(section, [...(groups.get(section) ?? []), record]);
      }
      const height = document.documentElement.scrollHeight;
      for (const [section, lines] of groups) section.prepend(lines);
      // Where the browser does not keep the reader's place by itself.
      if (scrollY > 0 && !CSS.supports("overflow-anchor", "none")) scrollBy(0, document.documentElement.scrollHeight - height);
      state.earlier = next ? records[0].id : 0;
      if (word) word.textContent = state.earlier ? "Loading earlier lines …" : "";
      if (found.text) search(found.text, false);
    }
    word?.remove();
    showTarget();
  }

  function followLive() {
    const live = document.getElementById("live");
    const source = new EventSource(`/?${new URLSearchParams({ action: "follow", build, level: "1", after: String(state.last) })}`);
    let asked = false;
    const askSoon = () => {
      if (asked) return;
      asked = true;
      setTimeout(() => { asked = false; describe().catch(() => {}); }, 150);
    };
    source.addEventListener("open", () => { if (live) live.textContent = "Live"; });
    source.addEventListener("error", () => { if (live) live.textContent = "The connection is lost; trying again …"; });
    source.addEventListener("log", (event) => {
      const record = JSON.parse(event.data);
      take(record);
      if (!record.stream) askSoon();
    });
    source.addEventListener("status", () => { askSoon(); Page.refresh().catch(() => {}); });
    source.addEventListener("end", async () => {
      source.close();
      live?.remove();
      follow.checked = false;
      await describe().catch(() => {});
      await Page.refresh().catch(() => {});
      showWhy();
    });
  }

  /** The reason, once there is one, without a reload that would lose the reader's place. */
  async function showWhy() {
    if (document.querySelector(".why")) return;
    const fresh = await Page.refresh().catch(() => null);
    const why = fresh?.querySelector(".why");
    if (why) document.getElementById("about").after(why);
  }

  // Search

  const found = { text: "", ids: [], at: -1, here: 0 };
  const seek = log.querySelector("[data-seek]");
  const field = seek.querySelector("input"), count = seek.querySelector("output");
  const tell = () => { count.textContent = found.text ? `${found.ids.length ? found.at + 1 : 0} of ${found.ids.length}` : ""; };

  function search(text, jump) {
    found.text = text.toLowerCase();
    found.ids = [];
    const here = found.here;
    for (const section of sections) for (const block of section.blocks) {
      if (found.text) for (const record of block.records)
        if (Ansi.plain(record.message).toLowerCase().includes(found.text)) found.ids.push(record.id);
      if (block.drawn) { block.drawn = false; block.draw(); }
    }
    found.at = found.ids.indexOf(here);
    if (jump && found.ids.length) go(found.at < 0 ? 0 : found.at);
    tell();
  }

  function go(at) {
    found.at = (at + found.ids.length) % found.ids.length;
    show(found.ids[found.at]);
    tell();
  }

  function show(id) {
    document.querySelector(".l.here")?.classList.remove("here");
    found.here = id;
    for (const section of sections) for (const block of section.blocks) {
      if (!block.records.length || id < block.first || id > block.last) continue;
      section.element.open = true;
      block.draw();
      const line = document.getElementById(`L${id}`);
      line?.classList.add("here");
      line?.scrollIntoView({ block: "center" });
      return true;
    }
    return false;
  }

  let typing;
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { follow.checked = false; search(field.value, true); }, 200);
  });
  seek.addEventListener("submit", (event) => { event.preventDefault(); if (found.ids.length) go(found.at + 1); });
  seek.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (step && found.ids.length) go(found.at + Number(step.dataset.step));
  });

  // The reader

  const showTarget = () => {
    const id = Number(/^#L(\d+)$/.exec(location.hash)?.[1] ?? 0);
    if (!id) return;
    follow.checked = false;
    show(id);
  };
  addEventListener("hashchange", showTarget);
  addEventListener("wheel", (event) => { if (event.deltaY < 0) follow.checked = false; }, { passive: true });
  addEventListener("touchmove", () => { follow.checked = false; }, { passive: true });
  addEventListener("keydown", (event) => { if (["PageUp", "Home", "ArrowUp"].includes(event.key)) follow.checked = false; });
  follow.addEventListener("change", () => { if (follow.checked) scrollSoon(); });
  wrap.addEventListener("change", () => {
    log.classList.toggle("wrapped", wrap.checked);
    for (const section of sections) for (const block of section.blocks) block.height = undefined;
  });
  const fold = log.querySelector("[data-fold]");
  fold.addEventListener("click", () => {
    const all = [...parts.querySelectorAll("details")], open = all.some((one) => one.open);
    for (const one of all) one.open = !open;
    fold.textContent = open ? "Unfold all" : "Fold all";
  });

  async function begin() {
    const { value } = await Page.call("build", { id: build });
    const shown = state.last ? await fetchRecords({ after: String(Number(log.dataset.first) - 1), per_page: "1000" }) : { records: [] };
    adopt(shown.records);
    if (shown.records.length) state.last = Math.max(state.last, shown.records[shown.records.length - 1].id);
    drawOutcomes(value);
    // Somebody may have typed before there was anything to search.
    if (found.text) search(found.text, true);
    if (!state.ended) followLive();
    if (follow.checked) scrollSoon();
    if (state.earlier) await loadEarlier();
    else showTarget();
  }
  begin().catch((error) => Page.say(error.message, true));
})();
