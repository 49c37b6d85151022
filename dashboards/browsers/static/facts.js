// What this browser is, as far as it tells and as far as it decides how long a model takes.

export async function browserFacts(runtime) {
  return {
    agent: navigator.userAgent.slice(0, 300),
    platform: (navigator.userAgentData?.platform ?? navigator.platform ?? '').slice(0, 100),
    cores: navigator.hardwareConcurrency ?? 1,
    memory_gib: navigator.deviceMemory ?? 0,
    isolated: self.crossOriginIsolated === true,
    gpu: await gpu(),
    runtime,
  };
}

async function gpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    if (!adapter) return '';
    const { vendor, architecture, device, description } = adapter.info;
    return [vendor, architecture, device, description].filter(Boolean).join(' ').slice(0, 200) || 'WebGPU';
  } catch {
    return '';
  }
}
