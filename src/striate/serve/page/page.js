"use strict";
/* The page: images in, answers out.  `classify(blob)` is who answers: the server, or the network in this page.
   What comes from files and answers reaches the page as text only, never as markup. */

const $ = (id) => document.getElementById(id);
const MOST = 48; // images that are kept to look at again
const items = [];
let chosen = null;
let stream = null;

const percent = (share) => {
  const value = 100 * share;
  return value > 99.9 && value < 100 ? "> 99.9 %" : value > 0 && value < 0.1 ? "< 0.1 %" : value.toFixed(1) + " %";
};

function put(id, text) { $(id).textContent = text; }

async function add(files) {
  const images = [...files].filter((each) => each instanceof Blob);
  if (!images.length) return;
  stopCamera();
  $("choose").classList.remove("first");
  for (const blob of images) {
    const item = { blob, name: blob.name || "pasted image", url: URL.createObjectURL(blob), result: null, error: "" };
    items.unshift(item);
    while (items.length > MOST) URL.revokeObjectURL(items.pop().url);
    select(item);
    await ask(item);
  }
}

async function ask(item) {
  try {
    item.result = await classify(item.blob);
    item.error = "";
  } catch (problem) {
    item.error = problem instanceof Answer ? problem.message : "The service does not answer. Is it still running?";
    if (problem.status === 401) askToken(item);
  }
  show();
}

class Answer extends Error {
  constructor(message, status) { super(message); this.status = status; }
}

function select(item) {
  chosen = item;
  show();
}

function show() {
  $("result").hidden = !chosen;
  if (!chosen) return;
  const image = $("image");
  const frame = $("frame");
  if (image.src !== chosen.url) {
    frame.classList.remove("unseen");
    image.onload = () => { image.classList.toggle("tiny", image.naturalWidth < 160); draw(); };
    image.onerror = () => frame.classList.add("unseen");
    image.src = chosen.url;
    image.alt = chosen.name;
  }
  put("name", chosen.name);
  const { result, error } = chosen;
  const box = document.querySelector(".answer");
  box.classList.toggle("waiting", !result && !error);
  box.classList.toggle("wrong", Boolean(error));
  box.classList.toggle("unknown", Boolean(!error && result && result.rejected));
  const bars = $("bars");
  bars.replaceChildren();
  if (error) {
    put("class", error.charAt(0).toUpperCase() + error.slice(1) + (/[.?]$/.test(error) ? "" : "."));
    put("said", "");
  } else if (!result) {
    put("class", "…");
    put("said", "");
  } else {
    const best = result.answers[0];
    put("class", result.rejected ? "I don’t know" : best.class);
    put("said", !result.rejected ? `${percent(best.probability)} probable`
      : result.rejected === "outlier" ? `It is unlike the images that the network was trained on. It would be taken for: ${best.class}.`
      : `${best.class} is most probable, but too many answers as unsure as this one are wrong.`);
    for (const each of result.answers) bars.append(bar(each));
  }
  draw();
  strip();
}

function bar({ class: name, probability }) {
  const row = document.createElement("li");
  const [called, share, track, fill] = ["span", "span", "i", "b"].map((tag) => document.createElement(tag));
  called.textContent = name;
  share.textContent = percent(probability);
  fill.style.width = `${100 * probability}%`;
  track.append(fill);
  row.append(called, share, track);
  return row;
}

/* The part of a W x H image that the network sees, in its pixels: left, top, width, height. */
function seen(W, H, view) {
  const [SH, SW] = view.stored;
  const [h, w] = view.size;
  let across = W / SW, down = H / SH;
  if (view.fit === "crop") across = down = Math.min(across, down);
  if (view.fit === "pad") across = down = Math.max(across, down);
  const left = (W - across * SW) / 2 + across * Math.floor((SW - w) / 2);
  const top = (H - down * SH) / 2 + down * Math.floor((SH - h) / 2);
  return [left, top, across * w, down * h];
}

/* A veil over the image, thin where the class map speaks for the answer. */
function draw() {
  const canvas = $("map");
  const image = $("image");
  const where = chosen && !chosen.error && chosen.result && chosen.result.where;
  $("toggle").hidden = !where || !image.naturalWidth;
  $("frame").classList.toggle("off", !$("where").checked);
  if (!where || !image.naturalWidth || image.src !== chosen.url) { canvas.width = canvas.width; return; }
  const longer = Math.max(image.naturalWidth, image.naturalHeight);
  const scale = Math.min(Math.max(longer, 480), 1200) / longer; // fine enough for a screen
  const W = Math.max(1, Math.round(image.naturalWidth * scale));
  const H = Math.max(1, Math.round(image.naturalHeight * scale));
  const rows = where.values, h = rows.length, w = rows[0].length;
  const flat = rows.flat();
  const most = Math.max(...flat, 0);
  const small = new OffscreenCanvas(w, h);
  const pixels = new ImageData(w, h);
  flat.forEach((value, i) => {
    const share = most > 0 ? Math.max(0, value) / most : 0;
    pixels.data.set([10, 14, 20, Math.round(200 * (1 - share))], 4 * i);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.width = W;
  canvas.height = H;
  const pen = canvas.getContext("2d");
  const [left, top, width, height] = seen(W, H, where.view);
  pen.fillStyle = "rgba(10, 14, 20, 0.78)";
  pen.fillRect(0, 0, W, H);
  pen.clearRect(left, top, width, height);
  pen.save();
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, left, top, width, height);
  pen.restore();
}

function strip() {
  const box = $("strip");
  box.hidden = items.length < 2;
  if (box.hidden) return;
  box.replaceChildren(...items.map((item) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    const label = document.createElement("span");
    button.type = "button";
    button.setAttribute("aria-current", String(item === chosen));
    image.src = item.url;
    image.alt = "";
    button.title = item.name;
    label.textContent = item.error ? "no answer" : !item.result ? "…"
      : item.result.rejected ? "I don’t know" : item.result.answers[0].class;
    button.append(image, label);
    button.onclick = () => select(item);
    return button;
  }));
}

/* Camera: a live picture where the browser gives one, the telephone's own app where not. */
async function openCamera() {
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) { $("shot").click(); return; }
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch {
    $("shot").click();
    return;
  }
  $("video").srcObject = stream;
  $("film").hidden = false;
  await $("video").play();
  $("snap").focus();
}

function stopCamera() {
  if (stream) stream.getTracks().forEach((track) => track.stop());
  stream = null;
  $("video").srcObject = null;
  $("film").hidden = true;
}

function snap() {
  const video = $("video");
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => { if (blob) add([new File([blob], "photo.jpg", { type: blob.type })]); }, "image/jpeg", 0.95);
}

$("open").onclick = () => $("file").click();
for (const id of ["file", "shot"]) $(id).onchange = (event) => { add([...event.target.files]); event.target.value = ""; };
$("camera").onclick = openCamera;
$("snap").onclick = snap;
$("stop").onclick = stopCamera;
$("where").onchange = draw;
addEventListener("paste", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type === "password") return;
  add([...event.clipboardData.files]);
});
let depth = 0;
const over = (shown) => { $("over").hidden = !shown; };
addEventListener("dragenter", (event) => { event.preventDefault(); depth += 1; over(true); });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("dragleave", () => { depth -= 1; if (depth <= 0) over(false); });
addEventListener("drop", (event) => { event.preventDefault(); depth = 0; over(false); add([...event.dataTransfer.files]); });
$("choose").classList.add("first");
