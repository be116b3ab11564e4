// Elements without HTML text: whatever comes from the server becomes a text node or an attribute that
// cannot run. The page's Content-Security-Policy (trusted types) forbids every other way.

const SVG = 'http://www.w3.org/2000/svg';
const SVG_TAGS = new Set(['svg', 'path', 'rect', 'g', 'line', 'circle']);
const HANDLERS = [
  'onclick',
  'oninput',
  'onchange',
  'onsubmit',
  'onkeydown',
  'onpointermove',
  'onpointerleave',
  'onscroll',
  'onfocus',
  'onblur',
];

/**
 * An element. `props`: attributes; `on…` functions; `style`, an object of CSS properties; `value`,
 * `checked`. A property that is null, undefined or false is left out. Children: nodes, texts,
 * numbers, arrays of them; null and false are left out.
 */
export function h(tag, props, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  append(element, children);
  return element;
}

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) {
    if (typeof value !== 'function' || !HANDLERS.includes(name)) throw new TypeError(name);
    element[name] = value;
  } else if (name === 'style') {
    for (const [property, text] of Object.entries(value)) element.style.setProperty(property, text);
  } else if (name === 'value' || name === 'checked' || name === 'disabled') {
    element[name] = value;
  } else {
    element.setAttribute(name, value === true ? '' : String(value));
  }
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** Puts `fresh` in the place of the children of `parent`, changing no more than differs. */
export function update(parent, ...fresh) {
  const holder = document.createElement('div');
  append(holder, fresh);
  patchChildren(parent, [...holder.childNodes]);
}

function sameKind(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);
}

function keyOf(node) {
  return node.dataset?.key;
}

/** Makes `old` what `fresh`, of the same kind, is, so that focus, selection, scrolling and open details stay. */
function patch(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  patchAttributes(old, fresh);
  for (const name of HANDLERS) if (old[name] !== fresh[name]) old[name] = fresh[name];
  patchValue(old, fresh);
  // Whoever wrote this element looks after its children itself.
  if (old.dataset?.own === undefined) patchChildren(old, [...fresh.childNodes]);
}

function patchAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    const stays = name === 'style' || (name === 'open' && old.nodeName === 'DETAILS');
    if (!stays && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== 'style' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  // The attribute itself would be an inline style, which the policy forbids.
  if (old.style && old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
}

function patchValue(old, fresh) {
  if (!('value' in old) || old.nodeName === 'LI') return;
  if (old.disabled !== fresh.disabled) old.disabled = fresh.disabled;
  const busy = document.activeElement === old && old.nodeName !== 'BUTTON';
  if (!busy && old.value !== fresh.value) old.value = fresh.value;
  if (old.checked !== fresh.checked) old.checked = fresh.checked;
}

function patchChildren(parent, fresh) {
  const keyed = new Map();
  for (const child of parent.childNodes) {
    if (keyOf(child) !== undefined) keyed.set(keyOf(child), child);
  }
  const wanted = new Set(fresh.map(keyOf));
  let at = parent.firstChild;
  const drop = () => {
    const next = at.nextSibling;
    at.remove();
    at = next;
  };
  for (const node of fresh) {
    // Removed first: moving what follows in front of it would take the focus away.
    while (at && keyOf(at) !== undefined && !wanted.has(keyOf(at))) drop();
    const match = keyOf(node) === undefined ? at : keyed.get(keyOf(node));
    if (match && sameKind(match, node)) {
      if (match === at) at = at.nextSibling;
      else parent.insertBefore(match, at);
      patch(match, node);
    } else {
      parent.insertBefore(node, at);
      if (at && keyOf(at) === undefined && keyOf(node) === undefined) drop();
    }
  }
  while (at) drop();
}
