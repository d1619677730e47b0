// Elements, made from values. Text always becomes a text node.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * A new element: its attributes, then its children, which are elements or texts. An attribute that is
 * a function listens to the event of that name; true stands for an empty attribute; null and false
 * leave it out.
 */
export function make(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same in a drawing (SVG). */
export function draw(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Show this text in the element. What is there already stays, so that a selection in it does, too. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
