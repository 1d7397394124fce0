// The maps that a page carries, decoded, and what can be asked of them.
//
// A tile is the map of one entry (a word, or a patch) at one step, layer and head: bytes with a
// range of their own. value = low + byte / 255 * span; values above the range, which sinks would
// stretch, are listed as peaks. Every map on screen is the plain mean of tiles, as Trace.heatmap
// and Trace.attention define it.

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

function floats(base64) {
  return new Float32Array(bytes(base64).buffer);
}

// Half-pixel centres, edges repeated: the definition that Trace.heatmap uses.
function taps(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const at = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  });
}

function resized({ h: rows, w: columns, data }, h, w) {
  if (rows === h && columns === w) return data;
  const out = new Float32Array(h * w);
  const across = taps(columns, w);
  taps(rows, h).forEach(([top, bottom, down], y) => {
    across.forEach(([left, right, share], x) => {
      const above = data[top * columns + left] * (1 - share) + data[top * columns + right] * share;
      const below = data[bottom * columns + left] * (1 - share) + data[bottom * columns + right] * share;
      out[y * w + x] = above * (1 - down) + below * down;
    });
  });
  return out;
}

function mean(data) {
  return data.reduce((sum, value) => sum + value, 0) / data.length;
}

function extent(data) {
  let low = Infinity, high = -Infinity;
  for (const value of data) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

// How concentrated a map is: the share of it that its highest tenth of patches holds.
function concentration(data) {
  const ordered = Float32Array.from(data).sort();
  return mean(ordered.subarray(Math.floor(0.9 * ordered.length))) / (mean(ordered) || 1);
}

// Where the scale of one map ends, as regard.views.scale has it: its greatest value, or the 98th
// percentile where that is less than half of it. Patches above twice the percentile are sinks.
function scaleOf({ w, data }) {
  const ordered = Float32Array.from(data).sort();
  const most = ordered.at(-1), high = ordered[Math.floor(0.98 * (ordered.length - 1))];
  if (ordered.length < 16 || !(high > 0 && high < most / 2)) {
    return { top: most > 0 ? most : 1, above: 0, sinks: [] };
  }
  const sinks = [...data.entries()]
    .filter(([, value]) => value > 2 * high)
    .sort(([, a], [, b]) => b - a)
    .map(([i, value]) => ({ y: Math.floor(i / w), x: i % w, value }));
  return { top: high, above: data.reduce((count, value) => count + (value > high), 0), sinks };
}

// A choice is {of, step, layer, head, next}: of "words" or "patches", which have layers of their own;
// each of the next three an index or "all", a layer also the name of a group of layers; next adds the
// token after a word to its map.
class Maps {
  constructor(data) {
    this.data = data;
    this.steps = data.steps.length;
    this.tiles = bytes(data.tiles);
    this.lows = floats(data.lows);
    this.spans = floats(data.spans);
    this.peakPlaces = new Uint32Array(bytes(data.peakPlaces).buffer);
    this.peakValues = floats(data.peakValues);
    this.column = new Map(); // of each entry that has maps, by its index
    data.entries.forEach(({ column }, i) => column === null || this.column.set(i, column));
    this.kept = new Map();
    this.tops = new Map();
  }

  of(entry) { return this.data.entries[entry].of; }

  // The indices of all layers of words, or of patches.
  allOf(of) {
    return this.data.layers.map((_, i) => i).filter((i) => this.data.layers[i].of === of);
  }

  // The heads of words, or of patches: those of the layer that has most.
  headsOf(of) {
    const heads = this.allOf(of).map((i) => this.data.layers[i].heads);
    return heads.reduce((most, each) => (each.length > most.length ? each : most), []);
  }

  layersOf({ of, layer, head }) {
    const named = typeof layer === "number" ? [layer]
      : layer === "all" ? this.allOf(of) : this.data.sides[of].groups.find(({ name }) => name === layer).layers;
    return head === "all" ? named : named.filter((i) => head < this.data.layers[i].heads.length);
  }

  gridOf(choice) {
    const grids = this.layersOf(choice).map((i) => this.data.layers[i].grid);
    return grids.reduce((best, grid) => (grid[0] * grid[1] > best[0] * best[1] ? grid : best));
  }

  has(entry) { return this.column.has(entry); }

  // The columns whose sum is the map of a word: its own, and that of the token after it.
  columnsOf(entry, next) {
    const after = next ? this.data.entries[entry].next : null;
    return [this.column.get(entry), ...(after ? [after.column] : [])];
  }

  // Mean over the chosen steps and heads of one layer.
  layerMap(entry, index, { step, head, next }) {
    const layer = this.data.layers[index];
    const [h, w] = layer.grid;
    const sum = new Float64Array(h * w);
    const range = (choice, count) => (choice === "all" ? [0, count] : [choice, choice + 1]);
    const [s0, s1] = range(step, this.steps);
    const [h0, h1] = range(head, layer.heads.length);
    const read = this.columnsOf(entry, next);
    for (let s = s0; s < s1; s++) {
      for (let a = h0; a < h1; a++) {
        const first = (s * layer.heads.length + a) * layer.columns;
        for (const column of read) this.addTile(sum, layer, first + column);
      }
    }
    const count = (s1 - s0) * (h1 - h0);
    return { h, w, data: Float32Array.from(sum, (value) => value / count) };
  }

  addTile(sum, layer, tile) {
    const low = this.lows[layer.firstRange + tile];
    const gain = this.spans[layer.firstRange + tile] / 255;
    const start = layer.firstByte + tile * sum.length;
    for (let i = 0; i < sum.length; i++) sum[i] += low + this.tiles[start + i] * gain;
    this.addPeaks(sum, start, low + 255 * gain);
  }

  // Peaks of the tile that begins at `start`, in which their bytes stand for `top`.
  addPeaks(sum, start, top) {
    const { peakPlaces: places, peakValues: values } = this;
    let [low, high] = [0, places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < start) low = middle + 1;
      else high = middle;
    }
    for (; places[low] < start + sum.length; low++) sum[places[low] - start] += values[low] - top;
  }

  compute(entry, choice) {
    const [h, w] = this.gridOf(choice);
    const layers = this.layersOf(choice);
    const data = new Float32Array(h * w);
    for (const index of layers) {
      const own = this.layerMap(entry, index, choice);
      const part = resized(own, h, w);
      // What a patch gives in all stays: a patch of a coarse grid stands for several.
      const kept = choice.of === "patches" && part !== own.data ? mean(own.data) * own.data.length / (mean(part) * part.length || 1) : 1;
      for (let i = 0; i < data.length; i++) data[i] += (part[i] * kept) / layers.length;
    }
    return { h, w, data };
  }

  map(entry, choice) {
    const key = [entry, choice.of, choice.step, choice.layer, choice.head, choice.next].join();
    if (!this.kept.has(key)) {
      if (this.kept.size > 4000) this.kept.clear();
      this.kept.set(key, this.compute(entry, choice));
    }
    return this.kept.get(key);
  }

  // What a patch gives to each token before the patches, averaged as its map is.
  before(query, choice) {
    const { layers, prefix } = this.data;
    this.shares ??= floats(this.data.before);
    const sums = new Float64Array(prefix.length);
    const chosen = this.layersOf(choice);
    const begin = layers[this.allOf("patches")[0]].firstRange;
    const many = (value, count) => (value === "all" ? Array.from({ length: count }, (_, i) => i) : [value]);
    const steps = many(choice.step, this.steps);
    for (const index of chosen) {
      const { heads, firstRange, columns } = layers[index];
      const read = steps.flatMap((step) => many(choice.head, heads.length).map((head) => step * heads.length + head));
      for (const at of read) {
        const tile = firstRange - begin + at * columns + this.column.get(query);
        for (let i = 0; i < sums.length; i++) {
          sums[i] += this.shares[tile * sums.length + i] / read.length / chosen.length;
        }
      }
    }
    return prefix.map((name, i) => [name, sums[i]]);
  }

  // The greatest top over some entries and all choices that average as much as this one does.
  top(choice, entries) {
    const kind = (value) => (value === "all" ? "all" : typeof value === "number" ? "one" : "group");
    const averages = [choice.step, choice.layer, choice.head].map(kind);
    const key = [...averages, choice.of, choice.next, ...entries].join();
    if (!this.tops.has(key)) this.tops.set(key, this.highest(this.likes(choice), entries));
    return this.tops.get(key);
  }

  likes({ of, step, layer, head, next }) {
    const { groups } = this.data.sides[of];
    const many = (value, count) => (value === "all" ? ["all"] : Array.from({ length: count }, (_, i) => i));
    const grouped = typeof layer === "string" && layer !== "all";
    const layerChoices = grouped ? groups.map(({ name }) => name) : layer === "all" ? ["all"] : this.allOf(of);
    return many(step, this.steps).flatMap((step) => layerChoices.flatMap((layer) =>
      many(head, this.headsOf(of).length).map((head) => ({ of, step, layer, head, next }))));
  }

  highest(choices, entries) {
    let top = 0;
    for (const entry of entries) {
      for (const choice of choices) {
        if (this.layersOf(choice).length) top = Math.max(top, scaleOf(this.compute(entry, choice)).top);
      }
    }
    return top || 1;
  }
}
