// Reads the texts that ComfyUI writes beside a picture: {keyword: text} of a PNG or a WebP file, null of other files.
// The host's own reader loses those of many a WebP, as it takes chunks of an odd size for shorter than they are.
const PNG = "\x89PNG\r\n\x1a\n";
const TEXT_CHUNKS = ["tEXt", "iTXt"];

const letters = (data, from, count) => String.fromCharCode(...data.subarray(from, from + count));
const decode = (bytes) => new TextDecoder().decode(bytes);

// Chunks: length, kind, content, checksum. A text's content: keyword, zero, text; an iTXt has four fields between, of
// which those that say something are not ComfyUI's.
function pngTexts(data, view) {
  const texts = {};
  for (let at = PNG.length; at + 12 <= data.length; at += view.getUint32(at) + 12) {
    const kind = letters(data, at + 4, 4);
    if (!TEXT_CHUNKS.includes(kind)) continue;
    const [keyword, ...rest] = decode(data.subarray(at + 8, at + 8 + view.getUint32(at))).split("\0");
    texts[keyword] = rest.at(-1);
  }
  return texts;
}

// Chunks: kind, length, content, which is filled up to an even size. EXIF has "keyword:text" with a zero behind.
function webpTexts(data, view) {
  const texts = {};
  for (let at = 12; at + 8 <= data.length; ) {
    const size = view.getUint32(at + 4, true);
    if (letters(data, at, 4) === "EXIF") {
      for (const entry of decode(data.subarray(at + 8, at + 8 + size)).split("\0")) {
        const colon = entry.indexOf(":");
        if (colon > 0) texts[entry.slice(0, colon)] = entry.slice(colon + 1);
      }
    }
    at += 8 + size + (size % 2);
  }
  return texts;
}

export async function pictureTexts(file) {
  const data = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(data.buffer);
  if (letters(data, 0, PNG.length) === PNG) return pngTexts(data, view);
  if (letters(data, 0, 4) === "RIFF" && letters(data, 8, 4) === "WEBP") return webpTexts(data, view);
  return null;
}
