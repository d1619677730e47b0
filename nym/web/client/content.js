// What is in a message: a text, or a file with its name (docs/protocol/pages.md, "Files").

const MAGIC = "nym-file 1\n";
const LONGEST_HEAD = 1000; // bytes of the line behind it
const LONGEST_NAME = 100; // characters
const EXTENSION = /\.[^.]{1,15}$/u; // what a long name keeps of its end

/** The bytes of base64. */
export function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** Base64 of bytes. */
export function encode(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += 0x8000) {
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  }
  return btoa(pieces.join(""));
}

/** A message with a file in it. */
export function pack(name, bytes) {
  const head = new TextEncoder().encode(`${MAGIC}${JSON.stringify({ name: harmless(name) })}\n`);
  const packed = new Uint8Array(head.length + bytes.length);
  packed.set(head);
  packed.set(bytes, head.length);
  return packed;
}

/** {name, start} of the file whose bytes begin at `start`; null if it isn't one. `bytes` may be its beginning only. */
export function file(bytes) {
  const begin = new TextDecoder().decode(bytes.subarray(0, MAGIC.length));
  if (begin !== MAGIC) return null;
  const end = bytes.subarray(0, MAGIC.length + LONGEST_HEAD).indexOf(10, MAGIC.length);
  if (end < 0) return null;
  try {
    const { name } = JSON.parse(new TextDecoder().decode(bytes.subarray(MAGIC.length, end)));
    return typeof name === "string" ? { name: harmless(name), start: end + 1 } : null;
  } catch {
    return null;
  }
}

/** The text in these bytes; null if they are none. */
export function text(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** A name that leads into no folder, hides nothing, and begins with no dot. The library makes the same one. */
export function harmless(name) {
  const last = name.split(/[/\\]/).at(-1);
  const seen = last.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}<>:"|?*]/gu, "_").replace(/\s+/g, " ");
  const trimmed = seen.replace(/^[. ]+|[. ]+$/g, "") || "file";
  const characters = [...trimmed];
  if (characters.length <= LONGEST_NAME) return trimmed;
  const extension = EXTENSION.exec(trimmed)?.[0] ?? "";
  const stem = characters.slice(0, LONGEST_NAME - [...extension].length).join("");
  return stem.replace(/[. ]+$/, "") + extension;
}

/** Let the user save these bytes under this name. */
export function save(name, bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken it over by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
