"use strict";
// Without this script the page is whole: every column and figure shows, in the order of the paper.
const root = document.documentElement;
document.querySelector(".controls").hidden = false;

// The switch between the epoch rules.
for (const choice of document.querySelectorAll("input[name=rule]")) {
  choice.addEventListener("change", () => { root.dataset.rule = choice.value; });
  if (choice.checked) root.dataset.rule = choice.value;
}

// Light or dark: as the system has it, until the button is pressed.
const theme = document.querySelector("#theme");
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const name = () => { theme.textContent = isDark() ? "Light theme" : "Dark theme"; };
theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
name();

// A click on a heading sorts by its column, a second one the other way round, a third one restores the order.
function sortBy(table, heading, column, original) {
  const isNumber = heading.classList.contains("number");
  const [first, second] = isNumber ? ["descending", "ascending"] : ["ascending", "descending"];
  const next = { [first]: second, [second]: "" }[heading.getAttribute("aria-sort")] ?? first;
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  const key = (row) => isNumber ? row.cells[column].dataset.value ?? "" : row.cells[column].textContent.trim();
  const compare = (a, b) => isNumber ? a - b : a.localeCompare(b, "en", { numeric: true });
  const rows = [...original];
  if (next) {
    heading.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    // Rows without a value stay below, whichever the direction.
    rows.sort((a, b) => (key(a) === "") - (key(b) === "") || (key(a) === "" ? 0 : sign * compare(key(a), key(b))));
  }
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable")) {
  const original = [...table.tBodies[0].rows];
  for (const [column, heading] of [...[...table.tHead.rows].at(-1).cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => sortBy(table, heading, column, original));
  }
}
