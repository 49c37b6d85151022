// The archive of a search for the best of each kind: a grid of descriptors, and what its cells hold.

import { area } from "./axes.js";
import { Chart } from "./chart.js";
import { csvOf } from "./csv.js";
import { element } from "./element.js";
import { choice } from "./frame.js";
import { short } from "./numbers.js";
import { colours, ramp, STEPS } from "./palette.js";
import { extent } from "./scale.js";

const BELOW = 64; // pixels for what is written under the grid

export class Archive {
  constructor(name, view) {
    this.view = view;
    this.chart = new Chart({
      caption: "Archive", height: 320, view, csvName: `${name}-archive.csv`,
      csv: () => csvOf(["number", ...this.told.descriptors.map((each) => `cell of ${each}`), "feasible", this.told.quality, ...this.told.descriptors],
        this.told.elites.map(({ number, cell, feasible, metrics }) => [number, ...cell, feasible ? 1 : 0,
          ...[this.told.quality, ...this.told.descriptors].map((each) => metrics[each] ?? NaN)])),
    });
    this.chart.draw = () => this.draw();
    this.choices = element("span", { class: "choices" });
    this.chart.tools.prepend(this.choices);
    this.chart.plot.addEventListener("pointermove", (event) => this.tell(event));
    this.node = this.chart.node;
  }

  // What the service tells of the archive.
  show(told) {
    if (!this.told) this.choose(told.descriptors);
    this.told = told;
    if (told.descriptors.length < 2) this.chart.plot.style.height = "150px"; // one row of cells
    this.draw();
  }

  choose(names) {
    const given = (name, usual) => (names.includes(this.view.get(name)) ? this.view.get(name) : usual);
    this.across = given("kind", names[0]);
    this.up = given("kinds", names.find((name) => name !== this.across));
    if (names.length < 3) return;
    const change = (which, address) => (name) => { this[which] = name; this.view.set(address, name); this.draw(); };
    this.choices.replaceChildren(choice("Across", names, this.across, change("across", "kind")), " ",
      choice("Up", names, this.up, change("up", "kinds")));
  }

  // The best elite of each place of the grid that is seen: with more descriptors than two, of all cells behind it.
  places() {
    const { descriptors, elites, quality } = this.told;
    const [i, j] = [descriptors.indexOf(this.across), descriptors.indexOf(this.up)];
    const found = new Map();
    const better = (one, other) => one.feasible !== other.feasible ? one.feasible
      : (one.metrics[quality] - other.metrics[quality]) * this.sign > 0;
    for (const elite of elites) {
      const place = `${i < 0 ? 0 : elite.cell[i]} ${j < 0 ? 0 : elite.cell[j]}`;
      if (!found.has(place) || better(elite, found.get(place))) found.set(place, elite);
    }
    return found;
  }

  get sign() {
    return this.told.direction === "max" ? 1 : -1;
  }

  draw() {
    if (!this.told || !this.chart.width) return;
    const context = this.chart.clean(0);
    const colour = colours();
    const { bins, descriptors, elites, quality } = this.told;
    const box = { ...area(this.chart.width, this.chart.height), bottom: this.chart.height - BELOW };
    const columns = descriptors.length ? bins : 1;
    const rows = this.up && this.up !== this.across ? bins : 1;
    const [wide, tall] = [(box.right - box.left) / columns, (box.bottom - box.top) / rows];
    const values = elites.map(({ metrics }) => metrics[quality]);
    const [low, high] = extent(values) ?? [0, 1];
    const steps = this.sign > 0 ? colour.time : [...colour.time].reverse();
    this.grid = { box, wide, tall, columns, rows, found: this.places() };
    context.strokeStyle = colour.line;
    for (let column = 0; column < columns; column++) {
      for (let row = 0; row < rows; row++) {
        const [left, top] = [box.left + column * wide, box.bottom - (row + 1) * tall];
        context.strokeRect(left + 0.5, top + 0.5, wide, tall);
        const elite = this.grid.found.get(`${column} ${row}`);
        if (!elite) continue;
        const share = (elite.metrics[quality] - low) / (high - low || 1);
        context.fillStyle = steps[Math.min(STEPS - 1, Math.floor(share * STEPS))];
        const inset = elite.feasible ? 1 : Math.min(wide, tall) / 3; // what breaks a bound is small
        context.fillRect(left + inset, top + inset, wide - 2 * inset, tall - 2 * inset);
      }
    }
    this.write(context, colour, box, columns, rows);
    this.chart.key.replaceChildren(element("li", {}, `${quality} from ${short(low)}`, ramp(this.sign < 0), `to ${short(high)}`));
    this.chart.describe(`Archive: ${this.told.elites.length} of ${bins ** descriptors.length} cells hold a network; its CSV lists them.`);
    if (!this.chart.told.textContent) this.chart.say(this.summary());
  }

  summary() {
    const { bins, descriptors, elites } = this.told;
    return `${short(elites.length)} of ${short(bins ** descriptors.length)} cells hold a network; small where it breaks a bound. Cells are narrow where the front lies.`;
  }

  // Names and edges of the descriptors: at both ends, and as many between them as there is room for.
  write(context, colour, box, columns, rows) {
    const edges = (name) => this.told.edges[this.told.descriptors.indexOf(name)] ?? [];
    context.font = "12px system-ui, sans-serif";
    context.fillStyle = colour.quiet;
    context.textAlign = "center";
    context.textBaseline = "top";
    const every = (count, room) => Math.max(1, Math.ceil((count * 64) / room));
    const across = edges(this.across);
    const step = every(across.length, box.right - box.left);
    for (let i = step - 1; i < across.length; i += step) context.fillText(short(across[i]), box.left + ((i + 1) * (box.right - box.left)) / columns, box.bottom + 5);
    context.textAlign = "right";
    context.textBaseline = "middle";
    const up = rows > 1 ? edges(this.up) : [];
    const climb = Math.max(1, Math.ceil((up.length * 20) / (box.bottom - box.top)));
    for (let i = climb - 1; i < up.length; i += climb) context.fillText(short(up[i]), box.left - 5, box.bottom - ((i + 1) * (box.bottom - box.top)) / rows);
    context.fillStyle = colour.text;
    context.textBaseline = "bottom";
    if (this.across) context.fillText(`${this.across}, the best first`, box.right, box.bottom + 38, box.right - box.left);
    if (rows === 1) return;
    context.save();
    context.translate(9, box.top);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText(`${this.up}, the best first`, 0, 0, box.bottom - box.top);
    context.restore();
  }

  tell(event) {
    if (!this.grid) return;
    const { left, top } = this.chart.plot.getBoundingClientRect();
    const { box, wide, tall, found } = this.grid;
    const [column, row] = [Math.floor((event.clientX - left - box.left) / wide), Math.floor((box.bottom - event.clientY + top) / tall)];
    const elite = found.get(`${column} ${row}`);
    this.chart.say(elite ? `Evaluation ${short(elite.number)}: ${Object.entries(elite.metrics).map(([name, value]) => `${name} ${short(value)}`).join(", ")}${elite.feasible ? "" : ", which breaks a bound"}`
      : this.summary());
  }
}
