// Parallel coordinates: an axis for each metric, a line for each network; ranges are those of the other charts.

import { Chart } from "./chart.js";
import { short } from "./numbers.js";
import { colours } from "./palette.js";
import { extent, Scale } from "./scale.js";

export const MOST_LINES = 1500;
const TOP = 28;
const BOTTOM = 20;
const SIDE = 40;
const ROOM = 100; // pixels between axes, so that their names can be read
const REACH = 16; // pixels to either side of an axis that belong to it

export class Parallel {
  constructor(options, points, ranges) {
    this.chart = new Chart({ ...options, layers: 2 });
    this.points = points;
    this.ranges = ranges;
    this.names = [];
    this.chart.draw = () => this.draw();
    this.listen();
  }

  // An axis for each of these, but for at least so many of them only where there is room.
  show(names, least) {
    this.names = names;
    this.least = least;
    if (this.chart.width) this.draw();
  }

  draw() {
    if (!this.names.length || !this.chart.width) return;
    const { chart, points } = this;
    const names = this.names.slice(0, Math.max(this.least, 1 + Math.floor((chart.width - 2 * SIDE) / ROOM)));
    const gap = (chart.width - 2 * SIDE) / Math.max(1, names.length - 1);
    this.axes = names.map((name, i) => {
      const found = extent(points.column(name), points.rows);
      return { name, left: SIDE + i * gap, column: points.column(name),
        scale: found && new Scale(...found, chart.height - BOTTOM, TOP) };
    }).filter(({ scale }) => scale);
    this.drawLines(gap);
    this.drawFrame(gap);
  }

  // Evenly chosen networks where there are too many, and the front.
  drawLines(gap) {
    const { points } = this;
    const context = this.chart.clean(0);
    const colour = colours();
    const inside = this.ranges.test(points);
    const stride = Math.max(1, Math.ceil(points.rows / MOST_LINES));
    const dim = [];
    const bright = [];
    for (let row = 0; row < points.rows; row += stride) (inside && !inside(row) ? dim : bright).push(row);
    const front = points.front.filter((row) => !inside || inside(row));
    this.trace(context, dim, colour.dim, 0.5, 0.5);
    this.trace(context, bright, colour.quiet, 0.5, 0.35);
    this.trace(context, front, colour.front, 1.5, 1);
    this.gap = gap;
  }

  trace(context, rows, style, width, alpha) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.globalAlpha = alpha;
    context.beginPath();
    for (const row of rows) {
      let open = true;
      for (const { left, column, scale } of this.axes) {
        const top = scale.at(column[row]);
        if (!Number.isFinite(top)) { open = true; continue; }
        if (open) context.moveTo(left, top);
        else context.lineTo(left, top);
        open = false;
      }
    }
    context.stroke();
    context.globalAlpha = 1;
  }

  drawFrame(gap) {
    const context = this.chart.clean(1);
    const colour = colours();
    context.font = "12px system-ui, sans-serif";
    for (const { name, left, scale } of this.axes) {
      context.strokeStyle = colour.quiet;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(left, TOP);
      context.lineTo(left, this.chart.height - BOTTOM);
      context.stroke();
      context.textAlign = "center";
      context.fillStyle = colour.text;
      context.fillText(name, left, 12, gap - 6);
      context.fillStyle = colour.quiet;
      context.fillText(short(scale.high), left, 25, gap - 6);
      context.fillText(short(scale.low), left, this.chart.height - 6, gap - 6);
      const range = this.ranges.get(name);
      if (!range) continue;
      const [bottom, top] = range.map((value) => Math.min(this.chart.height - BOTTOM, Math.max(TOP, scale.at(value))));
      context.strokeStyle = colour.chosen;
      context.lineWidth = 6;
      context.beginPath();
      context.moveTo(left, bottom);
      context.lineTo(left, top);
      context.stroke();
    }
  }

  listen() {
    const { plot } = this.chart;
    let from = null;
    plot.addEventListener("pointerdown", (event) => {
      const { left, top } = plot.getBoundingClientRect();
      const axis = this.axes?.find((each) => Math.abs(each.left - (event.clientX - left)) <= REACH);
      if (!axis || event.button !== 0) return;
      from = { axis, top: event.clientY - top };
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => {
      if (!from) return;
      const to = event.clientY - plot.getBoundingClientRect().top;
      if (Math.abs(to - from.top) < 4) return;
      const ends = [from.axis.scale.value(from.top), from.axis.scale.value(to)].sort((a, b) => a - b);
      this.ranges.set({ [from.axis.name]: ends });
    });
    plot.addEventListener("pointerup", (event) => {
      if (!from) return;
      const to = event.clientY - plot.getBoundingClientRect().top;
      if (Math.abs(to - from.top) < 4) this.ranges.set({ [from.axis.name]: null });
      from = null;
    });
  }
}
