
"use strict";
// Plays the steps in #data. A frame says only what changes, so going forward applies its values and going back restores
// the old ones; a jump is many of these. Whatever comes from the data is shown as text, never as HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
const ROLES = ["scope", "x", "w", "d", "new"];  // as in frames.py

let script;          // the run that is shown: {arrays, phases, frames, ...}
let position = -1;   // index of the last frame that was applied
let cells = [];      // cells[array][cell]: the <td>
let values = [];     // values[array][cell]: its number, or null
let figures = [];    // figures[array]: the <figure>
let marked = [];     // the <td>s that carry a mark now
let timer = null;    // set while playing

// Small helpers -------------------------------------------------------------------------------------------------

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

// At most three decimals and no trailing zeros, as format_number in words.py.
function format(value) {
  if (value === null) return "\u00b7";
  const size = Math.abs(value);
  let text;
  if (value !== 0 && (size < 5e-4 || size >= 1e5)) {
    text = value.toExponential(1).replace(/e([+-])(\d)$/, "e$10$2");
  } else {
    text = value.toFixed(3).replace(/\.?0+$/, "");
    if (text === "-0") text = "0";
  }
  return text.replace(/-/g, "\u2212");
}

// A text is [template, value, ...]; each {} or {role} stands for the next value. Yields [role, string] pieces.
function pieces([template, ...rest]) {
  const found = [], whole = data.texts[template].replace(/\}, \{/g, "},\u00a0{");  // (0, 1) stays on one line
  for (const part of whole.split(/(\{\w*\})/)) {
    if (/^\{\w*\}$/.test(part)) {
      const value = rest.shift(), shown = typeof value === "string" ? value.replace(/ /g, "\u00a0") : format(value);
      const bracket = value < 0 && found.length && found[found.length - 1][1].endsWith(" - ");  // 1 - (-2)
      found.push([part.slice(1, -1), bracket ? `(${shown})` : shown]);
    } else if (part) {
      found.push(["", part]);
    }
  }
  return found;
}

const plain = text => pieces(text).map(piece => piece[1]).join("");

// "0-2,6" is 0, 1, 2, 6.
function* spans(text) {
  for (const span of text.split(",")) {
    const [first, last = first] = span.split("-").map(Number);
    for (let k = first; k <= last; k++) yield k;
  }
}

// A run's tables ------------------------------------------------------------------------------------------------

// What a frame leaves out is as in the frame before it.
function complete(run) {
  let p = 0, s = null, b = [];
  for (const frame of run.frames) {
    p = frame.p ?? p; s = frame.s ?? s; b = frame.b ?? b;
    Object.assign(frame, {p, s, b});
  }
  run.phases.forEach((phase, k) => { phase.first = run.frames.findIndex(frame => frame.p === k); });
  run.complete = true;
}

// The longest number that an array ever shows decides how wide its cells are.
function widest(run, k) {
  let digits = 1;
  const look = value => { digits = Math.max(digits, format(value).length); };
  run.arrays[k].values.forEach(look);
  for (const frame of run.frames) for (const [a, , ...news] of frame.d ?? []) if (a === k) news.forEach(look);
  return digits;
}

function drawArray(array, digits) {
  const [panels, height, width] = array.size, tds = [];
  const figure = make("figure", "array"), caption = make("figcaption"), box = make("div", "panels");
  caption.append(make("b", "", array.name), array.note);
  box.classList.toggle("narrow", array.narrow);
  if (array.across) {
    box.classList.add("across");
    box.style.gridTemplateColumns = `repeat(${array.across}, max-content)`;
  }
  figure.style.setProperty("--digits", digits);
  for (let p = 0; p < panels; p++) {
    if (array.titles[p] === null) {
      for (let k = 0; k < height * width; k++) tds.push(null);
      box.append(make("div", "hole"));
      continue;
    }
    const table = make("table", "panel");
    const title = table.createCaption(), head = table.createTHead().insertRow(), body = table.createTBody();
    title.textContent = array.titles[p];
    title.hidden = !array.titles[p];
    if (array.rows.length) head.append(make("td", "corner"));
    head.append(...array.columns.map(name => header(name, "col")));
    for (let r = 0; r < height; r++) {
      const row = body.insertRow();
      if (array.rows.length) row.append(header(array.rows[r], "row"));
      for (let c = 0; c < width; c++) {
        const td = row.insertCell();
        td.inPadding = r < array.border[0] || r >= height - array.border[0]
          || c < array.border[1] || c >= width - array.border[1];
        tds.push(td);
      }
    }
    box.append(table);
  }
  figure.append(caption, box);
  return [figure, tds];
}

function header(name, scope) {
  const th = make("th", "", name.replace("-", "\u2212"));
  th.scope = scope;
  return th;
}

// Start a run from its first step.
function open(run) {
  script = run;
  if (!run.complete) complete(run);
  at("stage").replaceChildren();
  cells = []; values = []; figures = []; marked = []; position = -1;
  run.arrays.forEach((array, k) => {
    const [figure, tds] = drawArray(array, widest(run, k));
    at("stage").append(figure);
    figures.push(figure); cells.push(tds); values.push([...array.values]);
    tds.forEach((td, cell) => td && write(k, cell, array.values[cell]));
  });
  at("position").max = run.frames.length;
  drawPhases();
  drawCounts();
  fit();
}

function write(array, cell, value) {
  const td = cells[array][cell];
  values[array][cell] = value;
  td.textContent = format(value);
  td.title = value === null ? "" : String(value);
  td.dataset.base = (td.inPadding ? "pad " : "") + (value === null ? "none" : value === 0 ? "zero" : "");
  td.className = td.dataset.base;
}

// Forward, back, jump -------------------------------------------------------------------------------------------

function advance() {
  const frame = script.frames[++position];
  frame.old = [];
  for (const [array, first, ...news] of frame.d ?? []) {
    news.forEach((value, k) => {
      frame.old.push([array, first + k, values[array][first + k]]);
      write(array, first + k, value);
    });
  }
}

function retreat() {
  const frame = script.frames[position--];
  for (const [array, cell, value] of frame.old.reverse()) write(array, cell, value);
}

function go(target, moved = true) {
  target = Math.max(0, Math.min(script.frames.length - 1, target));
  unmark();
  while (position < target) advance();
  while (position > target) retreat();
  paint();
  if (moved) reveal();
}

// The next place to stop, in the direction given: each step, or only steps that complete a cell.
function next(direction, coarse = at("stops").value === "cells") {
  let k = position + direction;
  if (coarse) while (k > 0 && k < script.frames.length - 1 && !script.frames[k].k) k += direction;
  return k;
}

function unmark() {
  for (const td of marked) td.className = td.dataset.base;
  marked = [];
}

function mark(marks) {
  for (const [role, array, where] of marks) {
    for (const cell of spans(where)) {
      const td = cells[array][cell];
      if (!td) continue;
      if (td.classList.length > 1 || !td.classList.contains("scope")) td.className = td.dataset.base;
      td.classList.add(ROLES[role]);
      marked.push(td);
    }
  }
}

// What is seen --------------------------------------------------------------------------------------------------

function view(phase) {
  figures.forEach((figure, k) => {
    figure.hidden = !phase.arrays.includes(k);
    figure.style.order = phase.arrays.indexOf(k);
  });
}

// Cells as large as a wide screen allows: every phase is to fit above the player.
function fit() {
  const style = document.documentElement.style;
  style.removeProperty("--cell");
  if (matchMedia("(max-width: 60rem)").matches) return;
  const fits = phase => {
    view(phase);
    return at("stage").getBoundingClientRect().bottom + scrollY + at("player").offsetHeight < innerHeight;
  };
  for (const size of ["2.4rem", "2rem", "1.6rem"]) {
    style.setProperty("--cell", size);
    if (script.phases.every(fits)) return;
  }
}

function paint() {
  const frame = script.frames[position];
  view(script.phases[frame.p]);
  mark(frame.b);
  mark(frame.m ?? []);
  at("where").textContent = `Step ${(position + 1).toLocaleString("en")} of ${script.frames.length.toLocaleString("en")}, `
    + `${script.phases[frame.p].way}: ${script.phases[frame.p].name}`;
  at("words").textContent = plain(frame.t);
  at("equations").replaceChildren(...(frame.e ?? []).map(equation));
  paintSource(...frame.s);
  paintPlayer(frame);
}

function equation(text) {
  const line = make("p");
  for (const [role, words] of pieces(text)) {
    line.append(role ? make("span", role, words) : words.replace(/ \* /g, " \u00d7 ").replace(/ - /g, " \u2212 "));
  }
  return line;
}

let shownSource = -1;
function paintSource(which, number) {
  const source = data.sources[which], box = at("source");
  at("file").textContent = `${source.file}, line ${number}`;
  if (shownSource !== which) {
    shownSource = which;
    const list = make("ol");
    source.lines.forEach((text, k) => {
      const item = make("li");
      item.style.setProperty("--indent", text.search(/\S|$/));
      item.append(make("span", "", String(source.first + k)), text);
      list.append(item);
    });
    box.replaceChildren(list);
  }
  const items = box.querySelectorAll("li");
  items.forEach(item => item.removeAttribute("aria-current"));
  const current = items[number - source.first];
  current.setAttribute("aria-current", "true");
  const over = current.offsetTop - box.offsetTop;
  if (over < box.scrollTop || over > box.scrollTop + box.clientHeight - 30) box.scrollTop = over - box.clientHeight / 2;
}

function paintPlayer(frame) {
  const last = script.frames.length - 1;
  at("position").value = position + 1;
  at("position").setAttribute("aria-valuetext", at("where").textContent);
  at("first").disabled = at("back").disabled = position === 0;
  at("last").disabled = at("forward").disabled = position === last;
  at("phases").querySelectorAll("button").forEach((button, k) => {
    if (k === frame.p) button.setAttribute("aria-current", "step"); else button.removeAttribute("aria-current");
  });
}

// Bring the written cell into sight where a screen is too small for all: between the caption and the player, and within
// an array that is wider than the screen. A row of im2col may stay out of sight.
function reveal() {
  const td = marked.find(td => td.classList.contains("new") && !td.closest(".narrow"));
  if (!td) return;
  const box = td.closest(".panels"), inner = td.getBoundingClientRect(), outer = box.getBoundingClientRect();
  if (inner.left < outer.left) box.scrollLeft -= outer.left - inner.left + 40;
  if (inner.right > outer.right) box.scrollLeft += inner.right - outer.right + 40;
  const sticky = getComputedStyle(at("caption")).position === "sticky";
  const top = sticky ? at("caption").getBoundingClientRect().bottom + 40 : 20;
  const bottom = at("player").getBoundingClientRect().top - 10;
  if (inner.top < top) scrollBy(0, inner.top - top);
  if (inner.bottom > bottom) scrollBy(0, inner.bottom - bottom);
}

function drawPhases() {
  const box = at("phases");
  box.replaceChildren();
  let way = "";
  script.phases.forEach((phase, k) => {
    if (phase.way !== way) {
      way = phase.way;
      box.append(make("span", "", way[0].toUpperCase() + way.slice(1)));
    }
    const button = make("button", "", phase.name);
    button.type = "button";
    button.setAttribute("aria-label", `${phase.way}: ${phase.name}`);
    button.addEventListener("click", () => { pause(); go(script.phases[k].first); });
    box.append(button);
  });
}

function drawCounts() {
  at("grouping").hidden = data.scripts.length < 2;
  if (data.scripts.length < 2) return;
  const whole = data.scripts[0], share = script.macs / whole.macs;
  at("groups-name").textContent = script.kind ? `${script.label}, ${script.kind}` : script.label;
  at("groups").setAttribute("aria-valuetext", at("groups-name").textContent);
  at("costs").hidden = script.macs === undefined;  // a permutation multiplies nothing
  if (at("costs").hidden) return;
  at("parameters").textContent = script.parameters.toLocaleString("en");
  at("macs").textContent = script.macs.toLocaleString("en");
  at("share-of").textContent = whole.groups === 1 ? "of dense" : `of ${whole.label}`;
  at("share").textContent = share === 1 ? "all" : `1/${Math.round(1 / share)}`;
  at("share-bar").style.width = `${100 * share}%`;
}

// Playing -------------------------------------------------------------------------------------------------------

function play() {
  if (position === script.frames.length - 1) go(0);
  at("play").textContent = "Pause";
  at("words").setAttribute("aria-live", "off");  // a voice cannot keep up; it speaks again when the play pauses
  tick();
}

function tick() {
  timer = setTimeout(() => {
    go(next(1));
    if (position === script.frames.length - 1) pause(); else tick();
  }, 1000 / Number(at("speed").value));
}

function pause() {
  clearTimeout(timer);
  timer = null;
  at("play").textContent = "Play";
  at("words").setAttribute("aria-live", "polite");
}

function step(direction, coarse) {
  pause();
  go(next(direction, coarse));
}

// Another number of groups: the same phase, as far into it as before.
function regroup(index) {
  const phase = script.frames[position].p, begin = script.phases[phase].first;
  const end = p => script.phases[p + 1]?.first ?? script.frames.length;
  const part = (position - begin) / (end(phase) - begin);
  pause();
  open(data.scripts[index]);
  const first = script.phases[phase].first;
  go(first + Math.floor(part * (end(phase) - first)));
}

function phaseStep(direction) {
  pause();
  go(script.phases[script.frames[position].p + direction]?.first ?? (direction > 0 ? script.frames.length - 1 : 0));
}

// Controls ------------------------------------------------------------------------------------------------------

const keys = {
  " ": () => timer === null ? play() : pause(),
  ArrowRight: event => step(1, event.shiftKey || undefined),
  ArrowLeft: event => step(-1, event.shiftKey || undefined),
  Home: () => { pause(); go(0); },
  End: () => { pause(); go(script.frames.length - 1); },
  PageDown: () => phaseStep(1),
  PageUp: () => phaseStep(-1),
};

document.addEventListener("keydown", event => {
  const space = event.key === " ";  // a slider has no use for it, a button has
  const own = event.target.matches(space ? "select, button, #source" : "select, #groups, #source");
  if (own || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
  event.preventDefault();
  keys[event.key](event);
});

at("play").addEventListener("click", () => keys[" "]());
at("first").addEventListener("click", () => keys.Home());
at("last").addEventListener("click", () => keys.End());
at("back").addEventListener("click", () => step(-1));
at("forward").addEventListener("click", () => step(1));
at("position").addEventListener("input", event => { pause(); go(Number(event.target.value) - 1); });
at("groups").addEventListener("input", event => regroup(Number(event.target.value)));
at("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.documentElement.style.colorScheme = dark ? "dark" : "light";
  at("theme").textContent = dark ? "Light" : "Dark";
  at("theme").setAttribute("aria-label", dark ? "Switch to light colours" : "Switch to dark colours");
}

at("title").textContent = data.title;
at("lead").textContent = data.lead;
at("facts").textContent = data.facts.join("; ").replace(/(\d)x(?=\d)/g, "$1\u00d7");
at("groups").max = data.scripts.length - 1;
at("groups").value = data.chosen;
setTheme(matchMedia("(prefers-color-scheme: dark)").matches);
addEventListener("resize", () => { fit(); paint(); });
open(data.scripts[data.chosen]);
go(0, false);
