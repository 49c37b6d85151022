// Predictions with their intervals over what was measured, beside the line on which they would be right.

import { area, drawAxes } from "./axes.js";
import { Chart } from "./chart.js";
import { csvOf } from "./csv.js";
import { colours } from "./palette.js";
import { extent, padded, Scale } from "./scale.js";

export class Intervals {
  // Rows are {measured, predicted, low, high}; `residuals` draws errors in their place.
  constructor(caption, rows, { name, residuals = false }) {
    this.rows = rows.map((row) => ({ ...row, shift: residuals ? row.measured : 0 }));
    this.residuals = residuals;
    this.chart = new Chart({ caption, height: 260, csvName: `${name}.csv`,
      csv: () => csvOf(["measured", "predicted", "low", "high"], rows.map((row) => [row.measured, row.predicted, row.low, row.high])) });
    this.chart.draw = () => this.draw();
  }

  draw() {
    const context = this.chart.clean(0);
    const colour = colours();
    const box = area(this.chart.width, this.chart.height);
    const measured = this.rows.map((row) => row.measured);
    const across = padded(extent(measured), false);
    const heights = this.rows.flatMap(({ low, high, predicted, shift }) => [low - shift, high - shift, predicted - shift]);
    const up = padded(extent(this.residuals ? [...heights, 0] : [...heights, ...measured]), false);
    const x = new Scale(...across, box.left, box.right);
    const y = new Scale(...up, box.bottom, box.top);
    drawAxes(context, { x, y, xName: "measured", yName: this.residuals ? "predicted − measured" : "predicted", box, colour });
    context.strokeStyle = colour.bound;
    context.beginPath();
    context.moveTo(x.at(across[0]), y.at(this.residuals ? 0 : across[0]));
    context.lineTo(x.at(across[1]), y.at(this.residuals ? 0 : across[1]));
    context.stroke();
    context.strokeStyle = context.fillStyle = colour.front;
    for (const { measured: at, predicted, low, high, shift } of this.rows) {
      context.beginPath();
      context.moveTo(x.at(at), y.at(low - shift));
      context.lineTo(x.at(at), y.at(high - shift));
      context.stroke();
      context.beginPath();
      context.arc(x.at(at), y.at(predicted - shift), 3.5, 0, 7);
      context.fill();
    }
  }
}
