const batch = JSON.parse(document.getElementById("batch").textContent);
const { items, classes } = batch;
const at = (id) => document.getElementById(id);
const unsure = -1;
const mostMatches = 200;

// decisions[i]: a class, -1 for "cannot tell", or null
let decisions = items.map(() => null);
let current = 0;
const history = [];
let stored = true;
let downloaded = true;

function load() {
  try {
    const saved = JSON.parse(localStorage.getItem(batch.key) ?? "null");
    if (saved && Array.isArray(saved.decisions) && saved.decisions.length === items.length) {
      decisions = saved.decisions.map((one) => (Number.isInteger(one) && one >= unsure && one < classes.length ? one : null));
      at("reviewer").value = typeof saved.reviewer === "string" ? saved.reviewer : "";
    }
  } catch { stored = false; }
  save();
}

function save() {
  try {
    localStorage.setItem(batch.key, JSON.stringify({ decisions, reviewer: at("reviewer").value }));
  } catch { stored = false; }
  at("kept").textContent = stored
    ? "Decisions are kept in this browser until you download them."
    : "This browser does not keep the decisions: download them before you close the page.";
}

const nameOf = (decision) => (decision === null ? "none yet" : decision === unsure ? "cannot tell" : classes[decision]);

function made(tag, text) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  return element;
}

function content(item) {
  if (item.picture) {
    const image = made("img");
    image.src = item.picture;
    image.alt = `Row ${item.row}, labelled ${classes[item.given]}`;
    image.className = item.small ? "pixels" : "";
    return image;
  }
  if (typeof item.text === "string") return made("blockquote", item.text);
  if (item.numbers) {
    const list = made("dl");
    for (const [name, value] of item.numbers) {
      const entry = made("div");
      entry.append(made("dt", name), made("dd", value));
      list.append(entry);
    }
    return list;
  }
  return made("p", `Look up row ${item.row.toLocaleString("en")} of the audited data, counted from 0.`);
}

function show() {
  const item = items[current];
  const decision = decisions[current];
  at("which").textContent = `Label ${(current + 1).toLocaleString("en")} of ${items.length.toLocaleString("en")}`;
  at("evidence").textContent = `row ${item.row.toLocaleString("en")} · ${item.likely} likely wrong`
    + (item.drawn === "random" ? " · drawn at random" : "");
  at("shown").replaceChildren(content(item));
  at("shown").scrollTop = 0;
  at("given").textContent = classes[item.given];
  at("suggested").textContent = classes[item.suggested];
  at("decided").textContent = nameOf(decision);
  at("keep").setAttribute("aria-pressed", String(decision === item.given));
  at("accept").setAttribute("aria-pressed", String(decision === item.suggested && item.suggested !== item.given));
  at("accept").disabled = item.suggested === item.given;
  at("unsure").setAttribute("aria-pressed", String(decision === unsure));
  const another = decision !== null && ![unsure, item.given, item.suggested].includes(decision);
  at("other").setAttribute("aria-pressed", String(another));
  at("previous").disabled = current === 0;
  at("next").disabled = current === items.length - 1;
  at("undo").disabled = history.length === 0;
  const decided = decisions.filter((one) => one !== null).length;
  const changed = decisions.filter((one, i) => one !== null && one !== unsure && one !== items[i].given).length;
  at("progress").value = decided;
  at("counted").textContent = `${decided.toLocaleString("en")} of ${items.length.toLocaleString("en")}, `
    + `${changed.toLocaleString("en")} changed`;
  at("open").disabled = decided === items.length;
  closePicker();
}

function say(text) {
  at("said").textContent = text;
}

function go(place) {
  current = Math.min(Math.max(place, 0), items.length - 1);
  show();
}

function goToOpen() {
  const after = decisions.findIndex((one, i) => one === null && i > current);
  const first = after >= 0 ? after : decisions.indexOf(null);
  if (first >= 0) go(first);
}

function decide(decision) {
  history.push([current, decisions[current]]);
  decisions[current] = decision;
  downloaded = false;
  save();
  const row = items[current].row;
  if (current < items.length - 1) current += 1;
  show();
  say(`Row ${row}: ${nameOf(decision)}. ${at("which").textContent}.`);
}

function undo() {
  const last = history.pop();
  if (!last) return;
  [current] = last;
  decisions[current] = last[1];
  save();
  show();
  say(`Undone: row ${items[current].row} is ${nameOf(decisions[current])}.`);
}

let matches = [];
let selected = 0;

function closePicker() {
  const within = at("picker").contains(document.activeElement);
  at("picker").hidden = true;
  at("other").setAttribute("aria-expanded", "false");
  if (within) at("other").focus();
}

function openPicker() {
  at("picker").hidden = false;
  at("other").setAttribute("aria-expanded", "true");
  at("search").value = "";
  filter();
  at("search").focus();
}

function filter() {
  const wanted = at("search").value.trim().toLocaleLowerCase();
  const found = classes.map((name, index) => [name.toLocaleLowerCase(), index]).filter(([name]) => name.includes(wanted));
  const rank = ([name]) => (name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2);
  found.sort((a, b) => rank(a) - rank(b) || a[1] - b[1]);
  matches = found.slice(0, mostMatches).map(([, index]) => index);
  selected = 0;
  at("matches").replaceChildren(...matches.map((index, place) => {
    const entry = made("li", classes[index]);
    entry.id = `class-${index}`;
    entry.setAttribute("role", "option");
    entry.addEventListener("click", () => { select(place); choose(); });
    return entry;
  }));
  select(0);
}

function select(place) {
  selected = Math.min(Math.max(place, 0), matches.length - 1);
  [...at("matches").children].forEach((entry, i) => {
    entry.setAttribute("aria-selected", String(i === selected));
    if (i === selected) entry.scrollIntoView({ block: "nearest" });
  });
  const active = matches[selected];
  if (active === undefined) at("search").removeAttribute("aria-activedescendant");
  else at("search").setAttribute("aria-activedescendant", `class-${active}`);
}

function choose() {
  if (matches[selected] === undefined) say("No class has this name.");
  else decide(matches[selected]);
}

// a leading quote keeps spreadsheets from reading a formula
const guarded = (text) => (/^[=+\-@]/.test(text) ? `'${text}` : text);
const quoted = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));

function asCsv() {
  const reviewer = at("reviewer").value.trim();
  const lines = [["row", "drawn", "exported", "given", "suggested", "label", "reviewer"]];
  decisions.forEach((decision, i) => {
    if (decision === null) return;
    const { row, drawn, given, suggested } = items[i];
    const label = decision === unsure ? batch.cannot_tell : guarded(classes[decision]);
    lines.push([row, drawn, batch.exported, guarded(classes[given]), guarded(classes[suggested]), label, guarded(reviewer)]);
  });
  return `${lines.map((line) => line.map(quoted).join(",")).join("\n")}\n`;
}

function download() {
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([asCsv()], { type: "text/csv" }));
  const who = at("reviewer").value.trim().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  link.download = who ? `decisions-${who}.csv` : "decisions.csv";
  link.click();
  URL.revokeObjectURL(link.href);
  downloaded = true;
  say(`Downloaded ${link.download}.`);
}

const actions = {
  k: () => decide(items[current].given),
  s: () => { if (!at("accept").disabled) decide(items[current].suggested); },
  c: openPicker,
  t: () => decide(unsure),
  ArrowLeft: () => go(current - 1),
  ArrowRight: () => go(current + 1),
  n: goToOpen,
  u: undo,
};
const buttons = { keep: "k", accept: "s", other: "c", unsure: "t", previous: "ArrowLeft", next: "ArrowRight", open: "n", undo: "u" };
for (const [id, key] of Object.entries(buttons)) {
  at(id).addEventListener("click", id === "other" ? () => (at("picker").hidden ? openPicker() : closePicker()) : actions[key]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !at("keys").checked) return;
  if (event.target instanceof HTMLInputElement && event.target.type === "text") return;
  const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action || event.repeat && event.key.length === 1) return;
  event.preventDefault();
  action();
});

at("search").addEventListener("input", filter);
at("search").addEventListener("keydown", (event) => {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps) select(selected + steps[event.key]);
  else if (event.key === "Enter" && !event.isComposing) choose();
  else if (event.key === "Escape") closePicker();
  else return;
  event.preventDefault();
});
at("reviewer").addEventListener("input", save);
at("download").addEventListener("click", download);
addEventListener("beforeunload", (event) => { if (!stored && !downloaded) event.preventDefault(); });

load();
const open = decisions.indexOf(null);
go(open >= 0 ? open : 0);
