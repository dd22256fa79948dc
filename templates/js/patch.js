
// Patching: only what differs is touched, so scroll, selection and focus stay.
(() => {
  const patch = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== 1 || next.nodeType !== 1) {
      if (old.nodeType === 3 && next.nodeType === 3) old.data = next.data;
      else old.replaceWith(document.importNode(next, true));
      return;
    }
    if (old.nodeName !== next.nodeName) {
      old.replaceWith(document.importNode(next, true));
      return;
    }
    for (const { name } of [...old.attributes]) {
      // What the reader opened stays open.
      if (!next.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
    }
    for (const { name, value } of [...next.attributes]) {
      if (name === "open" && old.nodeName === "DETAILS") continue;
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const known = new Map();
    for (const child of old.children) if (child.id) known.set(child.id, child);
    let at = old.firstChild;
    for (const wanted of [...next.childNodes]) {
      const same = wanted.id ? known.get(wanted.id) : null;
      if (same) {
        if (same !== at) old.insertBefore(same, at);
        else at = at.nextSibling;
        patch(same, wanted);
      } else if (at && !(at.id && at.id !== wanted.id) && at.nodeName === wanted.nodeName && !wanted.id) {
        const here = at;
        at = at.nextSibling;
        patch(here, wanted);
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  };

  /// Makes `old` like `next`, and tells parts that keep something of their own in rows.
  const patchAll = (old, next) => {
    patch(old, next);
    document.dispatchEvent(new CustomEvent("overnight:rows"));
  };

  Object.assign(overnight, { patch: patchAll });
})();
