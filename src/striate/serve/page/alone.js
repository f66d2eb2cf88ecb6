"use strict";
/* The network answers in this page, without a server: onnxruntime-web and the bundle are in it. */

const known = JSON.parse($("known").textContent);
const prepared = known.preprocessing;

async function unpacked(id) {
  const text = atob($(id).textContent.trim());
  const bytes = Uint8Array.from(text, (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const ready = (async () => {
  const script = URL.createObjectURL(new Blob([await unpacked("script")], { type: "text/javascript" }));
  const ort = await import(script);
  ort.env.wasm.wasmBinary = await unpacked("wasm");
  ort.env.wasm.numThreads = 1; // a file has no threads that share memory
  const session = await ort.InferenceSession.create(await unpacked("network"), { executionProviders: ["wasm"] });
  return async (x, count) => {
    const [height, width] = prepared.size;
    const out = await session.run({ images: new ort.Tensor("float32", x, [count, prepared.channels, height, width]) });
    return { logits: out.logits, map: out.class_map };
  };
})();
ready.catch(() => put("about", "This browser cannot run it: it needs WebAssembly and gzip."));

/* The pixels of a file, upright, transparency on white: rows of R G B. */
async function decoded(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    throw new Answer("this browser cannot read it as an image; save it as PNG or JPEG", 415);
  }
  const { width, height } = bitmap;
  if (width * height > known.pixels) throw new Answer("it has too many pixels; shrink it", 413);
  const pen = new OffscreenCanvas(width, height).getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  const rgba = pen.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(3 * width * height);
  for (let i = 0, j = 0; i < rgba.length; i += 4) { rgb[j++] = rgba[i]; rgb[j++] = rgba[i + 1]; rgb[j++] = rgba[i + 2]; }
  return { rgb, width, height };
}

/* For each of `count` new places between `from` and `to`: the first old place that it is made of, and the weights of
   that and the next.  Bilinear over the whole footprint of a pixel, as Pillow resizes. */
function footprints(from, to, count, length) {
  const scale = (to - from) / count, reach = Math.max(1, scale);
  return Array.from({ length: count }, (_, place) => {
    const center = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(length, Math.trunc(center + reach + 0.5));
    const found = Array.from({ length: end - first }, (_, i) => Math.max(0, 1 - Math.abs((first + i - center + 0.5) / reach)));
    const sum = found.reduce((a, b) => a + b, 0);
    return { first, weights: found.map((each) => each / sum) };
  });
}

function resized({ rgb, width, height }, [left, top, right, bottom], w, h) {
  const across = footprints(left, right, w, width), down = footprints(top, bottom, h, height);
  const wide = new Uint8ClampedArray(3 * w * height);
  for (let y = 0; y < height; y++) for (let x = 0; x < w; x++) for (let c = 0; c < 3; c++) {
    const { first, weights: some } = across[x];
    let sum = 0;
    for (let i = 0; i < some.length; i++) sum += some[i] * rgb[3 * (y * width + first + i) + c];
    wide[3 * (y * w + x) + c] = Math.floor(sum + 0.5);
  }
  const made = new Uint8ClampedArray(3 * w * h);
  for (let y = 0; y < h; y++) {
    const { first, weights: some } = down[y];
    for (let x = 0; x < 3 * w; x++) {
      let sum = 0;
      for (let i = 0; i < some.length; i++) sum += some[i] * wide[3 * w * (first + i) + x];
      made[3 * w * y + x] = Math.floor(sum + 0.5);
    }
  }
  return made;
}

/* What the network reads: C x height x width. */
function normalized(image) {
  const [SH, SW] = prepared.stored_size, [h, w] = prepared.size;
  let box = [0, 0, image.width, image.height], inner = [SW, SH];
  if (prepared.fit === "crop") {
    const scale = Math.min(image.width / SW, image.height / SH);
    const left = Math.max(0, (image.width - scale * SW) / 2), top = Math.max(0, (image.height - scale * SH) / 2);
    box = [left, top, Math.min(left + scale * SW, image.width), Math.min(top + scale * SH, image.height)];
  } else if (prepared.fit === "pad") {
    const scale = Math.min(SW / image.width, SH / image.height);
    inner = [Math.max(1, Math.round(scale * image.width)), Math.max(1, Math.round(scale * image.height))];
  }
  const small = resized(image, box, ...inner);
  const beside = [Math.floor((SW - inner[0]) / 2), Math.floor((SH - inner[1]) / 2)];
  const first = [Math.floor((SW - w) / 2), Math.floor((SH - h) / 2)];
  const C = prepared.channels, x = new Float32Array(C * h * w);
  const at = known.mean_image;
  for (let row = 0; row < h; row++) for (let column = 0; column < w; column++) {
    const sx = column + first[0] - beside[0], sy = row + first[1] - beside[1];
    const inside = sx >= 0 && sy >= 0 && sx < inner[0] && sy < inner[1];
    const i = 3 * (sy * inner[0] + sx);
    const rgb = inside ? [small[i], small[i + 1], small[i + 2]] : [0, 0, 0];
    const values = C === 3 ? rgb : [(19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 0x8000) >> 16];
    for (let c = 0; c < C; c++) {
      let value = values[c];
      if (known.scale === "0..1") value /= 255;
      if (known.scale === "-1..1") value = value / 127.5 - 1;
      const mean = at ? at[(row * w + column) * C + c] : prepared.mean[c];
      x[(c * h + row) * w + column] = Math.fround(Math.fround(value - mean) * Math.fround(1 / prepared.deviation[c]));
    }
  }
  return x;
}

/* An image moved by whole pixels, its edge mirrored, and turned to its mirror image where asked. */
function moved(x, step, mirror) {
  const [h, w] = prepared.size, C = prepared.channels, made = new Float32Array(x.length);
  const back = (i, n) => n === 1 ? 0 : i < 0 ? -i : i >= n ? 2 * n - 2 - i : i;
  for (let c = 0; c < C; c++) for (let y = 0; y < h; y++) for (let column = 0; column < w; column++) {
    const from = mirror ? w - 1 - column : column;
    made[(c * h + y) * w + column] = x[(c * h + back(y + step, h)) * w + back(from + step, w)];
  }
  return made;
}

function softmax(logits, temperature) {
  const most = Math.max(...logits);
  const shares = Array.from(logits, (each) => Math.exp((each - most) / temperature));
  const sum = shares.reduce((a, b) => a + b, 0);
  return { shares: shares.map((each) => each / sum), energy: -(most + temperature * Math.log(sum)) };
}

async function classify(blob) {
  const image = await decoded(blob);
  const run = await ready;
  const x = normalized(image);
  const { logits: out, map } = await run(x, 1);
  let logits = Array.from(out.data);
  if (known.tta && Math.max(...softmax(logits, 1).shares) < known.tta) {
    const sum = logits.map((each) => 2 * each);
    for (const [step, mirror, weight] of [[0, true, 2], [-1, false, 1], [-1, true, 1], [1, false, 1], [1, true, 1]]) {
      (await run(moved(x, step, mirror), 1)).logits.data.forEach((each, i) => { sum[i] += weight * each; });
    }
    logits = sum.map((each) => each / 8);
  }
  const { shares, energy } = softmax(logits, known.temperature);
  const order = shares.map((_, i) => i).sort((a, b) => shares[b] - shares[a]);
  const best = order[0];
  const result = { answers: order.slice(0, 5).map((i) => ({ class: known.classes[i], probability: shares[i] })) };
  if (known.outlier !== null && energy > known.outlier) result.rejected = "outlier";
  else if (shares[best] < known.threshold) result.rejected = "unsure";
  if (map) {
    const [, , h, w] = map.dims;
    const values = Array.from({ length: h }, (_, y) => Array.from(map.data.slice((best * h + y) * w, (best * h + y + 1) * w)));
    result.where = { values, view: { fit: prepared.fit, stored: prepared.stored_size, size: prepared.size } };
  }
  return result;
}

function askToken() {}
