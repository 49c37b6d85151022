// Axes of a chart: lines, ticks and names around the area of the data.

import { short } from "./numbers.js";

export const MARGIN = { left: 74, right: 12, top: 8, bottom: 40 };

export function area(width, height) {
  return { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
}

export function drawAxes(context, { x, y, xName, yName, box, colour }) {
  context.font = "12px system-ui, sans-serif";
  context.strokeStyle = colour.line;
  context.fillStyle = colour.quiet;
  context.lineWidth = 1;
  context.beginPath();
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const tick of x.ticks(Math.max(2, Math.floor((box.right - box.left) / 90)))) {
    const at = Math.round(x.at(tick)) + 0.5;
    context.moveTo(at, box.top);
    context.lineTo(at, box.bottom);
    context.fillText(short(tick), at, box.bottom + 4);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const tick of y.ticks(Math.max(2, Math.floor((box.bottom - box.top) / 45)))) {
    const at = Math.round(y.at(tick)) + 0.5;
    context.moveTo(box.left, at);
    context.lineTo(box.right, at);
    context.fillText(short(tick), box.left - 5, at);
  }
  context.stroke();
  context.fillStyle = colour.text;
  context.textAlign = "right";
  context.textBaseline = "bottom";
  context.fillText(xName, box.right, box.bottom + 36, box.right - box.left);
  context.save();
  context.translate(9, box.top);
  context.rotate(-Math.PI / 2);
  context.textAlign = "right";
  context.textBaseline = "middle";
  context.fillText(yName, 0, 0, box.bottom - box.top);
  context.restore();
}
