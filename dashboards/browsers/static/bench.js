// Where the page keeps the worker that measures; one whose model failed is not used again.

export class Bench {
  #worker;
  #ready = false; // whether its modules are there
  #fits = '';
  #end;

  constructor(runtime) {
    this.runtime = runtime; // address of the folder with the runtime's files
  }

  get busy() {
    return this.#end !== undefined;
  }

  // Measure a model. The answer is of `profilers/answer.py`, or null when it was stopped. `started` is called
  // when the runtime is there and the model's time begins.
  async measure(lease, content, started) {
    const fits = JSON.stringify([lease.settings.backend, lease.settings.threads, lease.memory_bytes]);
    if (this.#fits !== fits) this.stop();
    this.#worker ??= new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
    this.#fits = fits;
    const answer = await new Promise((resolve) => {
      const failed = (reason, message) => this.#end({ event: 'failed', reason, message });
      const late = `the measurement did not end within ${lease.wall_s} s`;
      let timer;
      this.#end = (value) => {
        clearTimeout(timer);
        resolve(value);
      };
      const crash = ({ message }) => {
        if (this.#ready) failed('crash', `the worker that ran the model died: ${message ?? 'no reason given'}`);
        else failed('start', 'the files of the page cannot be loaded');
      };
      this.#worker.onmessage = ({ data }) => {
        if (data.event === 'ready') {
          this.#ready = true;
        } else if (data.event === 'started') {
          timer = setTimeout(() => failed('wall_clock', late), lease.wall_s * 1e3);
          started();
        } else {
          this.#end(data);
        }
      };
      this.#worker.onerror = crash;
      this.#worker.onmessageerror = crash;
      this.#worker.postMessage({ folder: this.runtime, lease, content }, [content]);
    });
    this.#end = undefined;
    if (answer?.event !== 'measured') this.stop();
    return answer;
  }

  // End what is measured, at once.
  stop() {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#ready = false;
    this.#fits = '';
    this.#end?.(null);
  }
}
