// The token that the page shows to the client. It comes behind the # of the link, and is kept in this tab
// only, so that a reload finds it.

const KEY = "token";
const TOKEN = /^[0-9a-f]{64}$/i;

/** Take the token out of the address bar, where others could see it. */
export function takeToken() {
  const found = tokenIn(location.hash);
  if (!found) return;
  sessionStorage.setItem(KEY, found);
  history.replaceState(null, "", location.pathname);
}

/** The token of this tab, or null. */
export const keptToken = () => sessionStorage.getItem(KEY);

/** Keep the token in a text, a token or a whole link. False if there is none in it. */
export function keepToken(text) {
  const found = tokenIn(text.trim());
  if (found) sessionStorage.setItem(KEY, found);
  return found !== null;
}

function tokenIn(text) {
  const found = text.replace(/^.*#token=/, "").replace(/^token=/, "");
  return TOKEN.test(found) ? found : null;
}
