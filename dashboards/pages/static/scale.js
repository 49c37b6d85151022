// From values to pixels, linear or logarithmic, with round ticks.

export class Scale {
  constructor(low, high, from, to, logarithmic = false) {
    this.logarithmic = logarithmic && low > 0;
    const widen = low === high ? Math.abs(low) || 1 : 0;
    this.low = this.logarithmic ? Math.log10(low) - (widen ? 0.5 : 0) : low - widen / 2;
    this.high = this.logarithmic ? Math.log10(high) + (widen ? 0.5 : 0) : high + widen / 2;
    this.from = from;
    this.to = to;
    this.factor = (to - from) / (this.high - this.low);
  }

  // Pixels of a value; NaN where it has none.
  at(value) {
    return this.from + ((this.logarithmic ? Math.log10(value) : value) - this.low) * this.factor;
  }

  value(pixel) {
    const found = this.low + (pixel - this.from) / this.factor;
    return this.logarithmic ? 10 ** found : found;
  }

  has(value) {
    const given = this.logarithmic ? Math.log10(value) : value;
    return given >= this.low && given <= this.high;
  }

  ticks(count = 5) {
    if (this.logarithmic && this.high - this.low >= 1) {
      const every = Math.max(1, Math.ceil((this.high - this.low) / count));
      const first = Math.ceil(this.low);
      const found = [];
      for (let power = first; power <= this.high; power += every) found.push(10 ** power);
      return found;
    }
    const [low, high] = this.logarithmic ? [10 ** this.low, 10 ** this.high] : [this.low, this.high];
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? rough;
    const found = [];
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
    return found;
  }
}

// The smallest and largest finite value, a little widened; null without any. `positive` leaves out what has no logarithm.
export function extent(values, count = values.length, positive = false) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < count; i++) {
    const value = values[i];
    if (value - value !== 0 || (positive && value <= 0)) continue; // NaN and infinities
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

export function padded([low, high], logarithmic) {
  if (logarithmic && low > 0) {
    const share = (high / low) ** 0.03;
    return [low / share, high * share];
  }
  const pad = (high - low) * 0.03;
  return [low - pad, high + pad];
}
