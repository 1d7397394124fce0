// What is taken away from a view: the link, the Python that reproduces it, the image and the table.

function buildExport(view) {
  const { part } = view;
  view.listen(part.copy, "click", () => copyPython(view));
  view.listen(part.png, "click", () => savePng(view));
  view.listen(part.csv, "click", () => saveCsv(view));
}

// ---------------------------------------------------------------- the permalink

// The fragment of the address holds what differs from how the page opens. Both kinds write `word`,
// so that old links stay good.
function restore(view) {
  const { data, state } = view;
  const asked = new URLSearchParams(location.hash.slice(1));
  const names = data.entries.map(({ name }) => name);
  const chosen = asked.getAll("word").map((name) => names.indexOf(name)).filter((i) => view.maps.has(i));
  if (chosen.length) state.chosen = chosen;
  const at = view.at[view.of];
  const index = (into, axis, list) => {
    const found = list.indexOf(asked.get(axis));
    if (found >= 0) into[axis] = choiceAt(view, axis, found);
  };
  index(state, "step", data.steps.map(({ label }) => label));
  index(at, "layer", listOf(view, "layer").map(({ name }) => name));
  index(at, "head", view.heads.map(String));
  const group = asked.get("layer");
  if (group === "all" || view.groups.some(({ name }) => name === group)) at.layer = group;
  if (asked.has("next")) state.next = asked.get("next") === "1";
}

function remember(view) {
  const asked = new URLSearchParams();
  const { chosen, step, next } = view.state;
  const { carriers, sides, steps, layers } = view.data;
  const { layer, head } = view.choice;
  for (const i of chosen) asked.append("word", view.name(i));
  if (step !== "all") asked.set("step", steps[step].label);
  if (layer !== sides[view.of].layer) asked.set("layer", layers[layer]?.name ?? layer);
  if (head !== "all") asked.set("head", view.heads[head]);
  if (next !== carriers) asked.set("next", next ? "1" : "0");
  if (location.hash.slice(1) !== asked.toString()) history.replaceState(null, "", `#${asked}`);
}

// ---------------------------------------------------------------- Python

function pythonOf(view) {
  const { data } = view;
  const calls = view.shown.map((entry) => {
    const { of } = data.entries[entry];
    return (of === "words" ? callOfWord : callOfPatch)(view, data.entries[entry], givenOf(view, of));
  });
  return ["import regard", "", `trace = regard.Trace.load(${JSON.stringify(data.saved)})`, ...calls].join("\n");
}

function givenOf(view, of) {
  const { data, maps } = view;
  const { step, layer, head } = view.choiceOf(of);
  const group = data.sides[of].groups.find(({ name }) => name === layer);
  const given = [];
  if (step !== "all") given.push(`steps=${data.steps[step].python}`);
  if (layer !== "all") given.push(`layers=${group ? group.python : JSON.stringify(data.layers[layer].name)}`);
  if (head !== "all") given.push(`heads=${maps.headsOf(of)[head]}`);
  return given;
}

function callOfWord(view, word, given) {
  const read = view.state.next && word.next ? ["carriers=True"] : [];
  return `trace.heatmap(${[JSON.stringify(word.name), ...read, ...given].join(", ")})`;
}

function callOfPatch(view, patch, given) {
  return `trace.attention(${[patch.python, ...given].join(", ")})`;
}

function renderPython(view) {
  view.part.python.textContent = pythonOf(view);
}

async function copyPython(view) {
  const { status, python } = view.part;
  try {
    await navigator.clipboard.writeText(pythonOf(view));
    status.textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(python);
    status.textContent = "Selected: press Ctrl+C to copy.";
  }
}

// ---------------------------------------------------------------- files

function save(view, blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  view.part.status.textContent = `Saved ${name}.`;
}

function saveCsv(view) {
  const { columns, rows } = view.data.table;
  const lines = [columns.map(({ name }) => name), ...rows.map(({ values }) => values)];
  const text = lines.map((line) => line.map(csvCell).join(",") + "\r\n").join("");
  save(view, new Blob([text], { type: "text/csv" }), view.kind.file);
}

const PAD = 32; // pixels around panels

function savePng(view) {
  const panels = panelsOf(view);
  const columns = Math.min(panels.length, 3);
  const wide = panels.length === 1 ? 768 : 512;
  const high = Math.round(wide / view.aspect);
  const rows = Math.ceil(panels.length / columns);
  const width = PAD + columns * (wide + PAD);
  const below = PAD + rows * (high + PAD + 24);
  const lines = captionLines(view, width - 2 * PAD);
  const canvas = make("canvas", { width, height: below + 70 + 20 * lines.length + PAD });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  panels.forEach((entry, i) => {
    const x = PAD + (i % columns) * (wide + PAD), y = PAD + Math.floor(i / columns) * (high + PAD + 24);
    drawEntry(view, context, { x, y, width: wide, height: high }, entry, 2);
    const name = entry !== null ? view.name(entry) : panels.length > 1 ? "image" : "";
    writeText(context, name, x, y + high + 20, "600 16px");
  });
  drawExportScale(view, context, PAD, below);
  lines.forEach((line, i) => writeText(context, line, PAD, below + 70 + 20 * i));
  const words = view.state.chosen.map((i) => view.name(i).replace(/[^\p{L}\p{N}]+/gu, "-"));
  canvas.toBlob((blob) => save(view, blob, `${words.join("-") || "image"}.png`));
}

function drawExportScale(view, context, x, y) {
  context.imageSmoothingEnabled = false;
  context.drawImage(view.part.ramp, x, y, 320, 12);
  if (view.even.place !== null) {
    context.fillStyle = "#222";
    context.fillRect(x + 320 * view.even.place - 1, y - 4, 2, 20);
  }
  writeText(context, "0", x, y + 30);
  writeText(context, number(view.top), x + 320, y + 30, "13px", "right");
  writeText(context, "attention weight", x + 336, y + 11);
}

function captionLines(view, width) {
  const context = make("canvas").getContext("2d");
  context.font = "13px system-ui, sans-serif";
  const lines = [];
  for (const [name, value] of view.kind.caption(view)) {
    let line = `${name}:`;
    for (const word of value.split(" ")) {
      if (context.measureText(`${line} ${word}`).width > width) {
        lines.push(line);
        line = "   ";
      }
      line += ` ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
