// Draws a plan as a grid of blocks by evaluations, and says which cells are painted. What a cell does and costs, the
// server has told.
import { translate } from "./words.js";

const STYLE = new URL("plan_grid.css", import.meta.url).href;
const CELL_HEIGHT = 12;
const LINE_HEIGHT = 16;
const TICK = 5; // every fifth evaluation has its number above it
const CLASSES = { c: "asdm-c", p: "asdm-p", i: "asdm-i", "-": "asdm-n" };
const WORDS = { c: "computed", p: "computed in part", i: "reused", "-": "not run" };
const FAMILIES = { sd1: "SD1.x", sd2: "SD2.x", sdxl: "SDXL", sdxl_refiner: "SDXL refiner" };
const NO_PLAN = "There is no plan yet: drop a picture or a .json file here, or";
const HELP =
  "Click a cell, or drag along a row: there the block's last value is reused, and what only it needs is not run.";

function part(kind, text = "", title = "") {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = text;
  if (title) element.title = title;
  return element;
}

function addStyle() {
  if (document.querySelector(`link[href="${STYLE}"]`)) return;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href: STYLE });
  document.head.append(link);
}

function shareText({ share }, { family, width, height, is_last_run }) {
  const parts = [translate("{share} % of the work", { share: (share * 100).toFixed(1) })];
  if (share > 0) parts.push(translate("{times}x less", { times: (1 / share).toFixed(2) }));
  const counted = is_last_run ? translate("as in the last run") : FAMILIES[family];
  return [...parts, `${counted}, ${width}x${height}`].join(" · ");
}

// What the grid has no cells for.
function notesOf({ columns }) {
  const others = {}; // site: evaluations
  columns.forEach((column, index) => column.others.forEach((site) => (others[site] ??= []).push(index)));
  const notes = Object.entries(others).map(([site, indices]) =>
    translate("other site {site}: {evaluations}", { site, evaluations: indices.join(", ") }),
  );
  const refreshed = columns.flatMap(({ is_refreshed }, index) => (is_refreshed ? [index] : []));
  if (refreshed.length) {
    notes.push(`⚠ ${refreshed.join(", ")}: ${translate("computed, as nothing before left what is to be reused")}`);
  }
  return notes;
}

export class PlanGrid {
  // `paint(evaluation, site, inherits)` is called for each cell painted, `finish()` when the pointer is lifted, and
  // `begin(family, steps)` where there is no plan and one is wanted.
  constructor({ paint, finish, begin }) {
    addStyle();
    this.element = part("asdm-plan");
    this.height = LINE_HEIGHT * 3;
    this.rows = [];
    this.columns = [];
    this.begin = begin;
    this.listen(paint, finish);
  }

  listen(paint, finish) {
    let stroke = null; // {row, inherits, done}: one row, so that no cell of another is met by chance
    const meet = (target) => {
      const { row, column } = target.dataset ?? {};
      if (!stroke || column === undefined || row !== stroke.row || stroke.done.has(column)) return;
      stroke.done.add(column);
      paint(Number(column), this.rows[row].site, stroke.inherits);
    };
    const lift = () => {
      window.removeEventListener("pointerup", lift, true);
      stroke = null;
      finish();
    };
    this.element.addEventListener("pointerdown", (event) => {
      event.stopPropagation(); // or the node is dragged
      const { row, column } = event.target.dataset;
      if (column === undefined || event.button !== 0) return;
      event.target.releasePointerCapture?.(event.pointerId); // of a finger, which would meet no other cell
      const isSite = this.columns[column].sites.includes(this.rows[row].site);
      stroke = { row, inherits: !isSite, done: new Set() };
      window.addEventListener("pointerup", lift, true);
      meet(event.target);
    });
    this.element.addEventListener("pointerover", (event) => meet(event.target));
  }

  // `answer`: the server's, see plan_server.js.
  show({ grid, counted_on }) {
    const isSameShape = grid.rows.length === this.rows.length && grid.columns.length === this.columns.length;
    this.rows = grid.rows;
    this.columns = grid.columns;
    if (!isSameShape || !this.cells?.isConnected) this.build();
    this.fill();
    this.share.textContent = shareText(grid, counted_on);
    const notes = notesOf(grid);
    this.notes.replaceChildren(...notes.map((text) => part("asdm-plan-note", text)));
    this.height = (this.rows.length + 1) * CELL_HEIGHT + LINE_HEIGHT * (5 + notes.length);
  }

  // Cells stay the same elements as long as the grid has its shape: a drag goes on over them.
  build() {
    this.share = part("asdm-plan-share");
    this.notes = part("asdm-plan-notes");
    this.cells = part("asdm-plan-cells");
    this.cells.style.setProperty("--asdm-columns", this.columns.length);
    const numbers = this.columns.map((_, index) => part("asdm-plan-number", index % TICK ? "" : index));
    const rows = this.rows.map(({ address }, row) => [
      part("asdm-plan-label", address),
      ...this.columns.map((_, column) => {
        const cell = part("asdm-plan-cell");
        Object.assign(cell.dataset, { row, column });
        return cell;
      }),
    ]);
    this.cells.append(part("asdm-plan-label"), ...numbers, ...rows.flat());
    this.element.replaceChildren(this.share, this.cells, this.legend(), part("asdm-plan-help", translate(HELP)), this.notes);
  }

  legend() {
    const legend = part("asdm-plan-legend");
    for (const [letter, words] of Object.entries(WORDS)) {
      const entry = document.createElement("span");
      const colour = document.createElement("i");
      colour.className = CLASSES[letter];
      entry.append(colour, translate(words));
      legend.append(entry);
    }
    return legend;
  }

  fill() {
    for (const cell of this.cells.querySelectorAll(".asdm-plan-cell")) {
      const { address, site } = this.rows[cell.dataset.row];
      const { sigma, actions, sites } = this.columns[cell.dataset.column];
      const action = actions[cell.dataset.row];
      // Named by the plan, and yet not reused, as another site stands in for it or nothing was left.
      const isIdle = sites.includes(site) && action !== "i";
      cell.className = `asdm-plan-cell ${CLASSES[action]}${isIdle ? " asdm-idle" : ""}`;
      const noise = sigma > 0 ? ` (${translate("noise level {sigma}", { sigma: sigma.toPrecision(3) })})` : "";
      const evaluation = translate("evaluation {number}", { number: cell.dataset.column });
      cell.title = `${address}, ${evaluation}${noise}: ${translate(WORDS[action])}`;
    }
    this.cells.querySelectorAll(".asdm-plan-number").forEach((number, index) => {
      number.classList.toggle("asdm-refreshed", this.columns[index].is_refreshed);
    });
  }

  // Above the grid, or what a plan is begun with, which stays as it was.
  complain(text) {
    if (this.share?.isConnected) this.share.textContent = `⚠ ${text}`;
    else this.say(`⚠ ${text}`);
  }

  say(text) {
    this.clear(part("asdm-plan-share", text));
  }

  clear(...parts) {
    this.rows = [];
    this.columns = [];
    this.height = LINE_HEIGHT * 4;
    this.element.replaceChildren(...parts);
  }

  offer() {
    const family = document.createElement("select");
    for (const [value, text] of Object.entries(FAMILIES)) family.append(new Option(text, value));
    const steps = document.createElement("input");
    Object.assign(steps, { type: "number", min: 1, max: 1000, value: 20 });
    const button = document.createElement("button");
    button.textContent = translate("begin a plan");
    button.addEventListener("click", () => this.begin(family.value, Number(steps.value)));
    const form = part("asdm-plan-begin");
    form.append(family, steps, translate("steps"), button);
    this.share = part("asdm-plan-share", translate(NO_PLAN));
    this.clear(this.share, form);
  }
}
