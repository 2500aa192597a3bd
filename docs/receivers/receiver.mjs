// Takes numbers from invoice-trackd: verifies, keeps each once as a file, and only then answers 2xx.
// 收字軌：先驗章，每批只存一個檔案，確實存好之後才回 2xx。
import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const place = "received";
mkdirSync(place, { recursive: true });

function take(head, body) {
  const id = head["webhook-id"] ?? "", at = head["webhook-timestamp"] ?? "";
  const mac = createHmac("sha256", key).update(`${id}.${at}.`).update(body).digest("base64");
  const good = Buffer.from(`v1,${mac}`);
  const given = (head["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one));
  if (!given.some((one) => one.length === good.length && timingSafeEqual(one, good)))
    return [401, "the signature does not fit"];
  if (!(Math.abs(Date.now() / 1000 - Number(at)) <= 300))
    return [401, "older than 5 minutes; look at both clocks"];
  if (!/^msg_[0-9a-f]+$/.test(id)) return [422, "no webhook-id of invoice-trackd"];
  keep(`${place}/${id}.json`, body);
  return [200, "ok"];
}

// The file is complete when it appears, and stays: it is how a second one is told.
// 檔案一出現就是完整的。處理之後請留著，靠它認出重送的。
function keep(path, body) {
  const unfinished = openSync(`${path}.unfinished`, "w");
  writeFileSync(unfinished, body);
  fsyncSync(unfinished);
  closeSync(unfinished);
  try {
    linkSync(`${path}.unfinished`, path);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
  }
  rmSync(`${path}.unfinished`);
  const directory = openSync(place, "r");
  fsyncSync(directory);
  closeSync(directory);
}

const server = createServer(async (request, response) => {
  try {
    const chunks = [];
    let size = 0;
    for await (const chunk of request) {
      size += chunk.length;
      if (size > 2 ** 24) return response.writeHead(413).end("too large");
      chunks.push(chunk);
    }
    const [status, words] = take(request.headers, Buffer.concat(chunks));
    response.writeHead(status).end(words);
  } catch (error) {
    response.writeHead(500).end(String(error.code ?? error.name));
  }
});
server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`));
