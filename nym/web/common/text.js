// What peers say, made fit for a person's eyes. Pages put it into text nodes only, so it never becomes
// markup. But text can also mislead: characters that can't be seen, or that turn the order round.

// Control characters except tab and line break, zero-width and other format characters, line and
// paragraph separators, and halves of surrogate pairs.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
// Joiners belong to emoji and to several scripts.
const HARMLESS = new Set(["\n", "\t", "\u200c", "\u200d"]);

/** The text with each character that can't be seen written as <U+202E>. */
export function visible(text) {
  return text.replace(UNSEEN, (character) =>
    HARMLESS.has(character)
      ? character
      : `<U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`,
  );
}

/** The same in one line, and cut to `most` characters. */
export function short(text, most = 80) {
  const line = visible(text.slice(0, 4 * most)).replace(/\s+/g, " ").trim();
  const characters = [...line];
  return characters.length <= most ? line : `${characters.slice(0, most - 1).join("")}…`;
}
