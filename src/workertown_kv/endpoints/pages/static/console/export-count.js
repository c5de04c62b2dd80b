// How many entries of an export have arrived.

const NEWLINE = 10;
const KEY = "k".charCodeAt(0);

export class EntryCount {
  entries = 0;
  #column = 0;

  /** Count the entries whose lines begin in these bytes, which follow those before. */
  add(bytes) {
    for (let at = 0; at < bytes.length; ) {
      // The third byte tells the lines of entries, {"key", from those of namespaces and the end.
      if (this.#column <= 2 && bytes[at + 2 - this.#column] === KEY) this.entries++;
      const end = bytes.indexOf(NEWLINE, at);
      if (end < 0) {
        this.#column += bytes.length - at;
        return;
      }
      at = end + 1;
      this.#column = 0;
    }
  }
}
