// Numbers and names as text, and the elements that hold them. Text of a trace is only ever set as
// text, never as HTML.

function number(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return value.toExponential(1);
  return Number(value.toPrecision(3)).toString();
}

// How to write the numbers of one column: all with the same decimals, enough for three digits of
// the greatest.
function columnText(values) {
  const top = Math.max(...values.filter((value) => value !== null).map(Math.abs), 0);
  const decimals = top ? Math.min(Math.max(2 - Math.floor(Math.log10(top)), 0), 4) : 0;
  const tiny = 10 ** -decimals / 2;
  return (value) => {
    if (value === null) return "";
    return value !== 0 && Math.abs(value) < tiny ? number(value) : value.toFixed(decimals);
  };
}

function plural(count, one, many = one + "s") {
  return `${count} ${count === 1 ? one : many}`;
}

function gridText([h, w]) {
  return `${h}×${w}`;
}

function sinksText(sinks) {
  const named = sinks.slice(0, 3).map(({ y, x, value }) => `y ${y}, x ${x} takes ${number(value)}`);
  return [...named, ...(sinks.length > 3 ? [`${sinks.length - 3} more`] : [])].join("; ");
}

function csvCell(value) {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function make(tag, { text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
