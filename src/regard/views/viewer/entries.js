// Where entries are listed and chosen: the chips above, the ranks beside the image, the table below.

function buildChips(view) {
  const { part, data } = view;
  const all = data.patches !== null; // then patches are chosen in the image, and have no chip
  data.entries.forEach((entry, i) => (entry.cell && all) || buildChip(view, entry, i));
  if (data.cut) {
    const why = "The text encoder is full: this text had no effect.";
    part.chips.append(make("span", { class: "cut", text: data.cut, title: why }));
  }
  part.notice.textContent = data.notices.join(" ");
  part.notice.hidden = !data.notices.length;
}

function buildChip(view, entry, i) {
  const chip = make("button", { type: "button", class: "chip", "data-chip": entry.name });
  chip.append(make("span", { text: entry.text }));
  if (entry.nth > 1) chip.append(make("sup", { text: entry.nth }));
  if (view.isSpecial(i)) chip.append(make("small", { text: number(entry.mass) }));
  chip.style.setProperty("--mass", entry.tint);
  chip.title = entry.evidence;
  chip.setAttribute("aria-label", `${entry.name}: ${entry.evidence}`);
  chip.dataset.mark = entry.mark;
  chip.disabled = !view.maps.has(i);
  const { chips, specials, patches } = view.part;
  const beside = patches && entry.of === "patches";
  if (beside) patches.hidden = false;
  if (view.isSpecial(i)) specials.append(chip);
  else (beside ? patches : chips).append(chip, " ");
  view.listen(chip, "pointerenter", (event) => event.pointerType === "mouse" && view.preview(i));
  view.listen(chip, "pointerleave", () => view.preview(null));
  view.listen(chip, "click", (event) => view.choose(i, event.shiftKey));
}

// The legend of words: what the marks mean, and the switches that only words have.
function buildWordsLegend(view) {
  const { part, data } = view;
  for (const mark of ["looks", "verified"]) {
    part[`${mark}-legend`].hidden = !data.entries.some((entry) => entry.mark === mark);
  }
  part["next-label"].hidden = !data.entries.some((entry) => entry.next);
  view.listen(part.next, "change", () => view.set({ next: part.next.checked }));
  view.listen(part["show-special"], "change", () => {
    const special = part["show-special"].checked;
    const { chosen } = view.state;
    view.set({ special, chosen: special ? chosen : chosen.filter((i) => !view.isSpecial(i)) });
  });
}

function renderChips(view) {
  const { part, state, root } = view;
  part.specials.hidden = !state.special;
  if (part.next) {
    part["show-special"].checked = state.special;
    part.next.checked = state.next;
  }
  const names = new Set(state.chosen.map((i) => view.name(i)));
  for (const chip of root.querySelectorAll("[data-chip]")) {
    chip.setAttribute("aria-pressed", names.has(chip.dataset.chip));
  }
  for (const row of part.table.tBodies[0].rows) {
    row.hidden = row.classList.contains("special") && !state.special;
    row.classList.toggle("chosen", names.has(row.dataset.row));
  }
}

// ---------------------------------------------------------------- ranks

// Rows of the ranks that are entries say which; the others cannot be chosen.
function buildRanks(view) {
  view.listen(view.part.ranks, "click", (event) => {
    const row = event.target.closest("[data-entry]");
    if (row) view.choose(Number(row.dataset.entry), event.shiftKey);
  });
}

function rankRow(name, value, share, text) {
  const bar = make("i");
  bar.style.width = `${100 * share}%`;
  return make("li", { "data-rank": name, "data-value": value },
    make("span", { text: name, class: "name" }),
    make("span", { class: "bar" }, bar),
    make("span", { class: "num", text }));
}

// How much the patch pointed at, or the average one, attends to each word.
function renderWordRanks(view) {
  const { part, maps } = view;
  const patch = view.hover.patch ?? view.state.patch;
  // Shares of a patch's attention: every token counts once, whatever the maps are read with.
  const single = { ...view.choiceOf("words"), next: false };
  const [h, w] = maps.gridOf(single);
  const cell = patch && [Math.floor(patch[0] * h), Math.floor(patch[1] * w)];
  const words = [...maps.column.keys()].filter((entry) => maps.of(entry) === "words");
  const values = words.map((entry) => {
    const map = maps.map(entry, single);
    return { entry, value: cell ? map.data[cell[0] * map.w + cell[1]] : mean(map.data) };
  });
  part["patch-title"].textContent = cell ? "This patch attends to" : "The average patch attends to";
  part.ranks.replaceChildren(...wordRankRows(view, values));
  const others = values.filter(({ entry }) => view.isSpecial(entry)).reduce((sum, { value }) => sum + value, 0);
  const place = cell ? `Patch y ${cell[0]}, x ${cell[1]} of ${h}×${w}${view.hover.patch ? "" : ", locked"}.`
    : `Mean over ${h}×${w} patches; point at one, click to lock.`;
  part["patch-note"].textContent = `${place}${others ? ` Special tokens take ${number(others)}.` : ""}`;
}

function wordRankRows(view, values) {
  const listed = values.filter(({ entry }) => view.state.special || !view.isSpecial(entry))
    .sort((a, b) => b.value - a.value);
  const top = listed.length ? listed[0].value : 1;
  const text = columnText(listed.map(({ value }) => value));
  return listed.map(({ entry, value }) => {
    const row = rankRow(view.name(entry), value, value / (top || 1), text(value));
    row.dataset.entry = entry;
    row.classList.toggle("chosen", view.shown.includes(entry));
    return row;
  });
}

// How much the query gives to each token before the patches, and to all patches.
function renderQueryShares(view) {
  const { part, maps } = view;
  const query = view.shown[0];
  const map = maps.map(query, view.choice);
  const patches = map.data.reduce((sum, value) => sum + value, 0);
  const shares = [...maps.before(query, view.choice), [`${map.data.length} patches`, patches]];
  part["patch-title"].textContent = `“${view.name(query)}” gives its attention to`;
  part.ranks.replaceChildren(...shares.map(([name, value]) => rankRow(name, value, Math.min(value, 1), number(value))));
  part["patch-note"].textContent = shareText(view, map);
}

function shareText(view, { h, w, data }) {
  const tokens = view.data.prefix.length + h * w;
  const even = number(1 / tokens);
  if (!view.hover.patch) return `Even attention to each of ${tokens} tokens is ${even}. Point at a patch for its share.`;
  const [y, x] = view.cellOf(view.hover.patch);
  return `Patch y ${y}, x ${x} of ${h}×${w} gets ${number(data[y * w + x])}; even attention is ${even}.`;
}

// ---------------------------------------------------------------- the table

function buildTable(view) {
  const { part, data: { table } } = view;
  const [head, body] = part.table.children;
  const columns = table.columns.map((column, i) => ({ ...column, i })).filter(({ hidden }) => !hidden);
  head.append(make("tr", {}, ...columns.map(({ label, title, numeric }) =>
    make("th", { text: label, title, scope: "col", class: numeric ? "num" : "" }))));
  const plain = table.rows.filter(({ special }) => !special);
  const texts = columns.map(({ i, numeric }) => numeric ? columnText(plain.map(({ values }) => values[i]))
    : (value) => (value === null ? "" : String(value)));
  for (const row of table.rows) {
    const cells = columns.map(({ i, numeric, bar }, at) =>
      tableCell(texts[at](row.values[i]), numeric, bar ? row.tint : null));
    const line = make("tr", { "data-row": row.name, "data-mark": row.mark }, ...cells);
    line.classList.toggle("special", row.special);
    view.listen(line, "click", (event) => row.entry !== null && view.choose(row.entry, event.shiftKey));
    body.append(line);
  }
  part["table-note"].textContent = table.note;
  part["table-section"].hidden = part.csv.hidden = !table.rows.length && !table.note;
}

function tableCell(text, numeric, tint) {
  const cell = make("td", { class: numeric ? "num" : "", text });
  if (tint !== null) {
    const bar = make("i");
    bar.style.setProperty("--mass", tint);
    cell.append(make("span", { class: "massbar" }, bar));
  }
  return cell;
}
