// Files that were dropped or chosen, those of folders below them too: {name, file} each, a name with its folders.

const byName = (a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
// As cnnctl has it: what begins with a dot is the system's own.
const seen = path => !path.split("/").some(part => part.startsWith("."));

function entries(folder) {
  const reader = folder.createReader(), all = [];
  return new Promise((resolve, reject) => {
    const more = some => { // a browser hands over some at a time
      all.push(...some);
      if (some.length)
        reader.readEntries(more, reject);
      else
        resolve(all);
    };
    reader.readEntries(more, reject);
  });
}

async function walk(entry, path, out) {
  if (entry.isDirectory) {
    for (const one of await entries(entry))
      if (!one.name.startsWith("."))
        await walk(one, path + "/" + one.name, out);
  } else
    out.push({ name: path, file: await new Promise((resolve, reject) => entry.file(resolve, reject)) });
}

export const plain = files => [...files].map(file => ({ name: file.webkitRelativePath || file.name, file }));
export const ofFolder = files => plain(files).filter(one => seen(one.name.slice(one.name.indexOf("/") + 1))).sort(byName);

// Of a drop, whose data is only there while it is handled: what it is that was dropped, to be read with `read`.
export const dropped = data => [...data.items].filter(item => item.kind === "file").map(item => {
  const entry = item.webkitGetAsEntry?.();
  return entry?.isDirectory ? { name: entry.name, folder: entry } : { name: item.getAsFile().name, file: item.getAsFile() };
});

// All files, those of a folder by name. An error says which folder cannot be read.
export async function read(list) {
  const out = [];
  for (const one of list) {
    const some = [];
    if (one.folder)
      await walk(one.folder, one.name, some).catch(error => { throw new Error(one.name + " cannot be read: " + error.message); });
    for (const file of one.folder ? some.sort(byName) : [one])
      out.push(file);
  }
  return out;
}
