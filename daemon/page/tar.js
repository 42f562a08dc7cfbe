// Files side by side in one body (POSIX ustar), named "0", "1", and so on: whatever they are called, an answer names them so.

const BLOCK = 512;
const octal = (v, digits) => v.toString(8).padStart(digits, "0");

function head(name, size) {
  const bytes = new Uint8Array(BLOCK), put = (at, text) => bytes.set(new TextEncoder().encode(text), at);
  const fields = [[0, name], [100, octal(0o644, 7)], [108, octal(0, 7)], [116, octal(0, 7)], [124, octal(size, 11)],
    [136, octal(0, 11)], [148, " ".repeat(8)], [156, "0"], [257, "ustar\0" + "00"]];
  for (const [at, text] of fields)
    put(at, text);
  put(148, octal(bytes.reduce((sum, b) => sum + b, 0), 6) + "\0");
  return bytes;
}

export const tar = files => new Blob([...files.flatMap((file, i) => [head(String(i), file.size), file,
  new Uint8Array(-file.size & (BLOCK - 1))]), new Uint8Array(2 * BLOCK)]);
