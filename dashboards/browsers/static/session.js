// ONNX Runtime Web: loaded once with its settings, then one session after the other.

const PAGE_BYTES = 65536; // of WebAssembly memory
const MAX_PAGES = 65536;
const OPTIMISATIONS = { disable: 'disabled', basic: 'basic', extended: 'extended', all: 'all' };
const MODULES = { wasm: 'ort.wasm.min.mjs', webgpu: 'ort.webgpu.min.mjs' };
const NOTHING = 'CAg6OgoQCgF4EgF5IghJZGVudGl0eRIEdGVzdFoPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEBE='; // an Identity in ONNX
const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

// Load the runtime. Its memory can be limited and its threads set once only, so other settings need another worker.
export async function loadRuntime(folder, settings, memoryBytes) {
  limitMemory(memoryBytes);
  const ort = await import(new URL(MODULES[settings.backend], folder));
  ort.env.wasm.wasmPaths = folder;
  ort.env.wasm.numThreads = settings.threads;
  ort.env.logLevel = 'fatal';
  const nothing = await makeSession(ort, bytesOf(NOTHING), settings, {}); // what starts the runtime is not the model's
  await nothing.release();
  return ort;
}

// Make a session of a model. Nothing falls back: what the backend cannot do is an error.
export function makeSession(ort, model, settings, sizes) {
  const strict = settings.backend === 'wasm' ? {} : { session: { disable_cpu_ep_fallback: '1' } };
  return ort.InferenceSession.create(model, {
    executionProviders: [settings.backend],
    graphOptimizationLevel: OPTIMISATIONS[settings.optimisation],
    executionMode: 'sequential',
    freeDimensionOverrides: sizes,
    logSeverityLevel: 4,
    extra: strict,
  });
}

// The inputs of a model, which lie one after the other in `buffer` from `offset` on.
export function makeFeeds(ort, inputs, buffer, offset) {
  const feeds = {};
  for (const { name, type, shape, bytes } of inputs) {
    const data = new ARRAYS[type](buffer.slice(offset, offset + bytes));
    feeds[name] = new ort.Tensor(type, data, shape);
    offset += bytes;
  }
  return feeds;
}

// Why there is no measurement, as `profilers/answer.py` calls it.
export function failure(what, error, reason) {
  const text = String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 500);
  const memory = /failed to allocate|bad_alloc|bad allocation|out of memory|unable to allocate|allocation failed|shape is too large/i;
  if (memory.test(text) || error instanceof RangeError) {
    return { event: 'failed', reason: 'memory', message: `the model asks for more memory than it may have: ${text}` };
  }
  return { event: 'failed', reason, message: `${what}: ${text}` };
}

function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

// The runtime makes its memory in JavaScript and lets it grow to 4 GiB; let it grow as far as a model may.
function limitMemory(bytes) {
  const Memory = WebAssembly.Memory;
  WebAssembly.Memory = function limited(description) {
    const allowed = description.initial + Math.ceil(bytes / PAGE_BYTES);
    return new Memory({ ...description, maximum: Math.min(description.maximum ?? MAX_PAGES, allowed) });
  };
  WebAssembly.Memory.prototype = Memory.prototype;
}
