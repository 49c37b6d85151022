// Points over two metrics: dominated ones coloured by time, the front, bounds, what is predicted and how surely.

import { area, drawAxes } from "./axes.js";
import { Chart } from "./chart.js";
import { colours, STEPS } from "./palette.js";
import { extent, padded, Scale } from "./scale.js";

const NEAR = 24; // pixels
const DRAG = 4;
const SIZES = [[300, 6], [5000, 4], [Infinity, 3]]; // up to so many points, so many pixels
const RECOLOUR = 1.25; // so many times the points, and all get their colours anew: what was late is so no more

export class Scatter {
  // `options` are those of a chart; `ranges` is shared with other charts; `chosen(row)` is called for a click.
  constructor(options, points, ranges, chosen) {
    this.chart = new Chart({ ...options, layers: 2 });
    this.points = points;
    this.ranges = ranges;
    this.chosen = chosen;
    this.row = null;
    this.chart.draw = () => this.draw();
    this.listen();
  }

  // What lies on the axes: {x, y, colour, xLog, yLog, bounds: [{metric, bound}], dominated}.
  show(axes) {
    this.axes = axes;
    if (this.chart.width) this.draw();
  }

  // Scales over everything that is there; widened only when a new point needs it.
  rescale() {
    const { points, axes } = this;
    const box = area(this.chart.width, this.chart.height);
    const made = (name, log, from, to) => {
      const found = extent(points.column(name), points.rows, log);
      if (!found) return null;
      const bound = axes.bounds.find(({ metric }) => metric === name)?.bound ?? null;
      const near = bound !== null && bound <= found[1] + (found[1] - found[0]) && bound >= found[0] - (found[1] - found[0]);
      const [low, high] = near ? [Math.min(found[0], bound), Math.max(found[1], bound)] : found;
      return new Scale(...padded([low, high], log), from, to, log);
    };
    this.x = made(axes.x, axes.xLog, box.left, box.right);
    this.y = made(axes.y, axes.yLog, box.bottom, box.top);
    this.box = box;
    this.order = null;
    this.coloured = points.rows;
    this.size = SIZES.find(([most]) => points.rows <= most)[1];
  }

  draw() {
    if (!this.axes || !this.chart.width) return;
    this.rescale();
    const context = this.chart.clean(0);
    this.colour = colours();
    if (!this.x || !this.y) {
      this.chart.clean(1);
      return;
    }
    drawAxes(context, { x: this.x, y: this.y, xName: this.axes.x, yName: this.axes.y, box: this.box, colour: this.colour });
    this.drawn = 0;
    this.drawPoints(context);
    this.drawFront();
  }

  // Draw what was added since; everything anew only where the axes are too short for it.
  update() {
    if (!this.axes || !this.chart.width) return;
    const { points, axes } = this;
    if (!this.x || !this.y || points.rows > RECOLOUR * this.coloured) return this.draw();
    const xs = points.column(axes.x);
    const ys = points.column(axes.y);
    for (let row = this.drawn; row < points.rows; row++) {
      const out = (scale, value) => Number.isFinite(value) && !scale.has(value) && !(scale.logarithmic && value <= 0);
      if (out(this.x, xs[row]) || out(this.y, ys[row])) return this.draw();
    }
    this.drawPoints(this.chart.context(0));
    this.drawFront();
  }

  drawPoints(context) {
    const { points, axes, x, y, colour } = this;
    const first = this.drawn;
    this.drawn = points.rows;
    if (!axes.dominated) return;
    const xs = points.column(axes.x);
    const ys = points.column(axes.y);
    const unsure = [points.deviation(axes.x), points.deviation(axes.y)].filter(Boolean);
    const inside = this.ranges.test(points);
    const order = this.order ??= this.makeOrder();
    const buckets = Array.from({ length: STEPS + 1 }, () => []);
    for (let row = first; row < points.rows; row++) {
      const left = x.at(xs[row]);
      const top = y.at(ys[row]);
      if (left - left !== 0 || top - top !== 0) continue;
      const step = inside && !inside(row) ? 0 : 1 + order(row);
      buckets[step].push(row, left, top);
    }
    const { size } = this;
    const half = size / 2;
    buckets.forEach((bucket, step) => {
      context.fillStyle = context.strokeStyle = step ? colour.time[step - 1] : colour.dim;
      context.lineWidth = 1;
      for (let i = 0; i < bucket.length; i += 3) {
        const guessed = unsure.some((column) => column[bucket[i]] > 0);
        if (guessed) context.strokeRect(bucket[i + 1] - half + 0.5, bucket[i + 2] - half + 0.5, size - 1, size - 1);
        else context.fillRect(bucket[i + 1] - half, bucket[i + 2] - half, size, size);
      }
    });
  }

  // Which of the steps of colour a row has: by its time, or by the metric that was asked for.
  makeOrder() {
    const { points, axes } = this;
    const column = points.column(axes.colour) ?? points.column("number");
    const [low, high] = extent(column, points.rows) ?? [0, 1];
    const share = (STEPS - 1e-6) / (high - low || 1);
    return (row) => Math.min(STEPS - 1, Math.max(0, Math.floor((column[row] - low) * share) || 0));
  }

  drawFront() {
    const { points, axes, x, y, colour, box } = this;
    const context = this.chart.clean(1);
    const xs = points.column(axes.x);
    const ys = points.column(axes.y);
    const inside = this.ranges.test(points);
    context.lineWidth = 1.5;
    context.strokeStyle = colour.bound;
    context.setLineDash([6, 4]);
    context.beginPath();
    for (const { metric, bound } of axes.bounds) {
      if (bound === null) continue;
      if (metric === axes.x && x.has(bound)) {
        context.moveTo(x.at(bound), box.top);
        context.lineTo(x.at(bound), box.bottom);
      }
      if (metric === axes.y && y.has(bound)) {
        context.moveTo(box.left, y.at(bound));
        context.lineTo(box.right, y.at(bound));
      }
    }
    context.stroke();
    context.setLineDash([]);
    const bars = [[points.deviation(axes.x), x, xs, true], [points.deviation(axes.y), y, ys, false]].filter(([column]) => column);
    for (const row of points.front) {
      const [left, top] = [x.at(xs[row]), y.at(ys[row])];
      if (!Number.isFinite(left) || !Number.isFinite(top)) continue;
      const bright = !inside || inside(row);
      context.strokeStyle = context.fillStyle = bright ? colour.front : colour.dim;
      let guessed = false;
      for (const [column, scale, values, horizontal] of bars) {
        if (!(column[row] > 0)) continue;
        guessed = true;
        const [from, to] = [scale.at(values[row] - column[row]), scale.at(values[row] + column[row])];
        context.beginPath();
        if (horizontal) {
          context.moveTo(from, top);
          context.lineTo(to, top);
        } else {
          context.moveTo(left, from);
          context.lineTo(left, to);
        }
        context.stroke();
      }
      context.beginPath();
      context.arc(left, top, 5, 0, 7);
      if (guessed) {
        context.fillStyle = colour.sheet;
        context.fill();
        context.stroke();
      } else context.fill();
    }
    if (this.row !== null) {
      context.strokeStyle = colour.chosen;
      context.lineWidth = 3;
      context.beginPath();
      context.arc(x.at(xs[this.row]), y.at(ys[this.row]), 9, 0, 7);
      context.stroke();
    }
    this.drawBrush(context);
  }

  drawBrush(context) {
    const [wide, high] = [this.ranges.get(this.axes.x), this.ranges.get(this.axes.y)];
    if (!wide && !high) return;
    const { x, y, box, colour } = this;
    const [left, right] = wide ? wide.map((value) => x.at(value)) : [box.left, box.right];
    const [bottom, top] = high ? high.map((value) => y.at(value)) : [box.bottom, box.top];
    context.strokeStyle = colour.chosen;
    context.lineWidth = 1;
    context.strokeRect(left, top, right - left, bottom - top);
  }

  // Ring a row; null rings none.
  mark(row) {
    this.row = row;
    if (this.x && this.y) this.drawFront();
  }

  // The row nearest to a place; of those that are equally near, one of the front.
  nearest(left, top) {
    if (!this.x || !this.y) return null;
    const { points, axes, x, y } = this;
    const xs = points.column(axes.x);
    const ys = points.column(axes.y);
    let best = null;
    let least = NEAR ** 2;
    const look = (row, favour) => {
      const distance = (x.at(xs[row]) - left) ** 2 + (y.at(ys[row]) - top) ** 2 - favour;
      if (distance < least) [best, least] = [row, distance];
    };
    if (axes.dominated) for (let row = 0; row < points.rows; row++) look(row, 0);
    for (const row of points.front) look(row, 25);
    return best;
  }

  listen() {
    const { plot } = this.chart;
    let from = null;
    const at = (event) => {
      const { left, top } = plot.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = at(event);
      plot.setPointerCapture(event.pointerId);
    });
    plot.addEventListener("pointermove", (event) => {
      const to = at(event);
      if (!from) {
        this.hovered?.(this.nearest(...to));
        return;
      }
      if (Math.hypot(to[0] - from[0], to[1] - from[1]) < DRAG || !this.x || !this.y) return;
      const sorted = (a, b) => (a < b ? [a, b] : [b, a]);
      this.ranges.set({
        [this.axes.x]: sorted(this.x.value(from[0]), this.x.value(to[0])),
        [this.axes.y]: sorted(this.y.value(from[1]), this.y.value(to[1])),
      });
    });
    plot.addEventListener("pointerup", (event) => {
      const to = at(event);
      if (from && Math.hypot(to[0] - from[0], to[1] - from[1]) < DRAG) {
        const row = this.nearest(...to);
        if (row !== null) this.chosen(row);
      }
      from = null;
    });
  }
}
