// Drawing on canvases: maps as colours, images engraved in them, grids, patches and courses.
// Nothing here knows of the view.

const DEPTH = 36; // how much lighter or darker a pixel may be than its patch, as regard.views.engrave has it
const FINE = 512; // pixels of the longer side to which small images are enlarged

// A map as a small canvas of colours.
function painted(map, top, colours) {
  const canvas = make("canvas", { width: map.w, height: map.h });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(map.w, map.h);
  map.data.forEach((value, i) => {
    const colour = 3 * Math.round(Math.min(Math.max(value / top, 0), 1) * 255);
    pixels.data.set(colours.subarray(colour, colour + 3), 4 * i);
    pixels.data[4 * i + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Colours that leave room for a relief above and below, so that none is cut off.
function muted(colours, depth) {
  return Uint8Array.from(colours, (part) => Math.round(depth + (part * (255 - 2 * depth)) / 255));
}

// An image engraved into a map: what the image does within a patch, lighter and darker alike, so
// that the mean colour of each patch is that of its value.
class Engraver {
  constructor(image) {
    const longer = Math.max(image.naturalWidth, image.naturalHeight);
    const times = Math.max(1, Math.floor(FINE / longer));
    const shrink = Math.min(1, (1.5 * FINE) / longer);
    this.w = Math.round(image.naturalWidth * times * shrink);
    this.h = Math.round(image.naturalHeight * times * shrink);
    const context = new OffscreenCanvas(this.w, this.h).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingEnabled = times === 1;
    context.drawImage(image, 0, 0, this.w, this.h);
    const { data } = context.getImageData(0, 0, this.w, this.h);
    const light = (i) => 0.299 * data[4 * i] + 0.587 * data[4 * i + 1] + 0.114 * data[4 * i + 2];
    this.light = Float32Array.from({ length: this.w * this.h }, (_, i) => light(i));
  }

  // For each pixel the number of its patch, and how much lighter than the mean of that patch it is.
  relief({ h, w }) {
    if (this.kept?.h === h && this.kept.w === w) return this.kept;
    const count = new Float64Array(h * w), sum = new Float64Array(h * w), most = new Float64Array(h * w);
    const place = new Uint32Array(this.light.length);
    const data = new Float32Array(this.light.length);
    for (let i = 0; i < place.length; i++) {
      const y = Math.floor(i / this.w), x = i % this.w;
      place[i] = Math.floor((y * h) / this.h) * w + Math.floor((x * w) / this.w);
      count[place[i]]++;
      sum[place[i]] += this.light[i];
    }
    for (let i = 0; i < place.length; i++) {
      data[i] = (this.light[i] - sum[place[i]] / count[place[i]]) / 128;
      most[place[i]] = Math.max(most[place[i]], Math.abs(data[i]));
    }
    for (let i = 0; i < place.length; i++) data[i] /= Math.max(1, most[place[i]]);
    this.kept = { h, w, place, data };
    return this.kept;
  }

  draw(map, fine, top, colours, depth) {
    const { place, data } = this.relief(map);
    const canvas = make("canvas", { width: this.w, height: this.h });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(this.w, this.h);
    for (let i = 0; i < place.length; i++) {
      const value = fine ? fine[i] : map.data[place[i]];
      const colour = 3 * Math.round(Math.min(Math.max(value / top, 0), 1) * 255);
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(colours[colour + c] + depth * data[i]);
      pixels.data[4 * i + 3] = 255;
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }
}

function drawGrid(context, { x, y, width, height }, map) {
  context.strokeStyle = "rgb(255 255 255 / 0.35)";
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 1; i < map.w; i++) {
    const at = Math.round(x + (i * width) / map.w) + 0.5;
    context.moveTo(at, y);
    context.lineTo(at, y + height);
  }
  for (let i = 1; i < map.h; i++) {
    const at = Math.round(y + (i * height) / map.h) + 0.5;
    context.moveTo(x, at);
    context.lineTo(x + width, at);
  }
  context.stroke();
}

// A locked patch has a heavy frame, one only pointed at a light one.
function drawPatch(context, { x, y, width, height }, { cell: [row, column], grid: map, locked }, weight) {
  const [high, wide] = [height / map.h, width / map.w];
  const lines = locked ? [[5, "rgb(0 0 0 / 0.8)"], [2.5, "#fff"]] : [[2.5, "rgb(0 0 0 / 0.5)"], [1, "#fff"]];
  for (const [thick, colour] of lines) {
    context.lineWidth = thick * weight;
    context.strokeStyle = colour;
    context.strokeRect(x + (column * width) / map.w, y + (row * height) / map.h, wide, high);
  }
}

// One panel: the image alone, or a map with its grid, and the outlines of patches, inside `box`.
function drawPanel(context, box, { image, engraver, map, top, colours, state, patches, weight }) {
  const { x, y, width, height } = box;
  context.fillStyle = "#000";
  context.fillRect(x, y, width, height);
  if (!map) {
    context.imageSmoothingEnabled = image.naturalWidth > width;
    context.drawImage(image, x, y, width, height);
  } else if (engraver) {
    const fine = state.smooth ? resized(map, engraver.h, engraver.w) : null;
    context.imageSmoothingEnabled = false;
    context.drawImage(engraver.draw(map, fine, top, colours, DEPTH * state.relief), x, y, width, height);
  } else {
    const fine = { h: 8 * map.h, w: 8 * map.w };
    const shown = state.smooth ? { ...fine, data: resized(map, fine.h, fine.w) } : map;
    context.imageSmoothingEnabled = state.smooth;
    context.drawImage(painted(shown, top, colours), x, y, width, height);
  }
  if (state.grid) drawGrid(context, box, patches.grid);
  for (const patch of patches.framed) drawPatch(context, box, patch, weight);
}

// The course of one number along a slider, with a dot where the slider stands.
function drawCourse(canvas, values, at, colour) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
  [canvas.width, canvas.height] = [width, height];
  if (values.length < 2) return;
  const context = canvas.getContext("2d");
  // A range input's thumb travels between half thumb widths; the course does the same.
  const [edge, top] = [8 * ratio, extent(values)[1] || 1];
  const x = (i) => edge + (i / (values.length - 1)) * (width - 2 * edge);
  const y = (value) => height - 1 - (value / top) * (height - 4);
  context.beginPath();
  context.moveTo(x(0), height);
  values.forEach((value, i) => context.lineTo(x(i), y(value)));
  context.lineTo(x(values.length - 1), height);
  context.fillStyle = colour;
  context.globalAlpha = 0.22;
  context.fill();
  if (at === "all") return;
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x(at), y(values[at]), 2.5 * ratio, 0, 7);
  context.fill();
}

function writeText(context, text, x, y, font = "13px", align = "left") {
  context.font = `${font} system-ui, sans-serif`;
  context.fillStyle = "#222";
  context.textAlign = align;
  context.fillText(text, x, y);
}
