// The evaluations of a job as columns that grow, and the front among them.

const SLACK = 4096;

export class Points {
  // From the answer of `/points`: the length of a header, the header, and a column of floats for each name.
  constructor(buffer) {
    const length = new DataView(buffer).getUint32(0, true);
    this.header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const { columns, rows } = this.header;
    this.rows = rows;
    this.capacity = rows + SLACK;
    this.columns = new Map(columns.map((name, i) => {
      const column = new Float64Array(this.capacity);
      column.set(new Float64Array(buffer, 4 + length + i * rows * 8, rows));
      return [name, column];
    }));
    this.next = this.header.next;
    this.stride = this.header.stride;
    this.objectives = this.header.objectives;
    this.places = new Map(); // number of an evaluation on the front -> its row
    const numbers = this.column("number");
    const wanted = new Set(this.header.front);
    for (let row = 0; row < rows; row++) if (wanted.has(numbers[row])) this.places.set(numbers[row], row);
  }

  get metrics() {
    return [...this.columns.keys()].filter((name) => name !== "number" && name !== "failed" && !name.endsWith(" deviation"));
  }

  column(name) {
    return this.columns.get(name);
  }

  // The deviation of a metric's predictions; undefined where none is predicted.
  deviation(name) {
    return this.columns.get(`${name} deviation`);
  }

  get front() {
    return [...this.places.values()];
  }

  // Add an evaluation as events tell it; what comes twice is added once.
  add(evaluation) {
    if (evaluation.number < this.next) return false;
    if (this.rows === this.capacity) this.grow();
    const row = this.rows++;
    this.next = evaluation.number + 1;
    for (const [name, column] of this.columns) {
      column[row] = name === "number" ? evaluation.number
        : name === "failed" ? (evaluation.error === null ? 0 : 1)
          : evaluation.metrics[name] ?? NaN;
    }
    if (evaluation.error === null) this.join(row);
    return true;
  }

  grow() {
    this.capacity *= 2;
    for (const [name, column] of this.columns) {
      const larger = new Float64Array(this.capacity);
      larger.set(column);
      this.columns.set(name, larger);
    }
  }

  losses(row) {
    return this.objectives.map(({ metric, direction }) => this.column(metric)[row] * (direction === "max" ? -1 : 1));
  }

  feasible(row) {
    return this.objectives.every(({ metric, direction, bound }) => {
      const value = this.column(metric)[row];
      if (!Number.isFinite(value)) return false;
      return bound === null || (direction === "max" ? value >= bound : value <= bound);
    });
  }

  // Let a row join the front, and push others off it, as the store does.
  join(row) {
    if (!this.feasible(row)) return;
    const own = this.losses(row);
    for (const [number, other] of this.places) {
      const theirs = this.losses(other);
      const same = own.every((loss, i) => loss === theirs[i]);
      if (!same && theirs.every((loss, i) => loss <= own[i])) return;
      if (!same && own.every((loss, i) => loss <= theirs[i])) this.places.delete(number);
    }
    this.places.set(this.column("number")[row], row);
  }
}
