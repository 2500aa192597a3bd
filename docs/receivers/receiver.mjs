// Verifies, keeps each once as a file, and only then answers 2xx. 先驗章，同一批只存一個檔案，存好才回 2xx。
import { createHmac, timingSafeEqual } from "node:crypto";
import { constants, existsSync, fsyncSync, openSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";

const key = Buffer.from(process.env.WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const directory = openSync("received");
const onDisk = { flag: constants.O_CREAT | constants.O_WRONLY | constants.O_TRUNC | constants.O_SYNC };

async function take(request) {
  const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": given = "" } = request.headers;
  if (!(request.headers["content-length"] <= 2 ** 24)) return 413;
  const body = Buffer.concat(await request.toArray());
  const mac = createHmac("sha256", key).update(`${id}.${at}.`).update(body);
  const good = Buffer.from(`v1,${mac.digest("base64")}`);
  const isGood = (one) => one.length === good.length && timingSafeEqual(Buffer.from(one, "latin1"), good);
  if (!given.split(" ").some(isGood) || !(Math.abs(Date.now() / 1000 - at) <= 300)) return 401;
  const path = `received/${encodeURIComponent(id)}.json`;
  if (!existsSync(path)) {
    writeFileSync(`${path}.new`, body, onDisk);
    renameSync(`${path}.new`, path);
  }
  fsyncSync(directory); // the name as well 檔名也要寫入磁碟
  return 204;
}

const server = createServer((request, response) =>
  take(request).catch(() => 500).then((status) => response.writeHead(status).end()));
server.listen(process.env.PORT ?? 8080, "127.0.0.1", () => console.log("listening on port", server.address().port));
