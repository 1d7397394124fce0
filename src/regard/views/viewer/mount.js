// The public face of the viewer.
//
//   const { destroy } = regard.mount(element, data, { permalink: true, keyboard: true })
//
// `data` is what regard.views.payload makes. The viewer is then all that `element` holds, and touches
// nothing outside of it but what is asked for: with `permalink` the view is kept in the fragment of
// the address, and restored from it; with `keyboard` the shortcuts act while the focus is in the
// viewer, or nowhere and this viewer was the last one used; a control that has the focus keeps its
// own keys either way. `destroy` empties the element and ends every listener.

const mounted = new WeakMap(); // the viewer in each element

function mount(element, data, { permalink = false, keyboard = false } = {}) {
  const view = new View(data, { permalink, keyboard });
  mounted.get(element)?.destroy();
  mounted.set(element, view);
  element.replaceChildren(view.root);
  if (permalink) restore(view);
  buildHead(view);
  buildChips(view);
  view.kind.build(view);
  buildControls(view);
  buildNavigator(view);
  buildStage(view);
  buildRanks(view);
  buildTable(view);
  buildExport(view);
  buildKeys(view);
  view.render();
  return { destroy: () => view.destroy() };
}

function buildHead(view) {
  const { part, data } = view;
  part.run.textContent = data.run.map((said) => said.replaceAll(" ", "\u00a0")).join("\u2002· ");
  for (const [name, value] of data.recipe) part.recipe.append(make("dt", { text: name }), make("dd", { text: value }));
}
