# Takes numbers from invoice-trackd: verifies, writes down once, and only then answers 2xx.
# 收字軌：先驗章，只記一次，寫進資料庫之後才回 2xx。
import base64, hashlib, hmac, json, os, sqlite3, time
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_") + "==")
DB = sqlite3.connect("numbers.db")
DB.executescript("""
CREATE TABLE IF NOT EXISTS seen (webhook_id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS numbers (ban, invoice_type, year_month, track, begin_no, end_no,
  imported_at, withdrawn_at, PRIMARY KEY (ban, invoice_type, year_month, track, begin_no, end_no));
-- Issue from these only. 只能用這裡的號碼開立發票。
CREATE VIEW IF NOT EXISTS in_use AS SELECT * FROM numbers WHERE imported_at > withdrawn_at;
""")


def take(head, body):
    webhook_id, at = head.get("webhook-id", ""), head.get("webhook-timestamp", "")
    mac = hmac.new(KEY, f"{webhook_id}.{at}.".encode() + body, hashlib.sha256)
    good = b"v1," + base64.b64encode(mac.digest())
    given = head.get("webhook-signature", "").encode().split()
    if not any([hmac.compare_digest(good, one) for one in given]):
        return 401, "the signature does not fit"
    if abs(time.time() - int(at)) > 300:
        return 401, "older than 5 minutes; look at both clocks"
    told = json.loads(body)
    if told["type"] not in ("allocation.imported", "allocation.withdrawn"):
        return 422, "unknown type"
    with DB:  # one transaction 同一筆交易
        if DB.execute("INSERT OR IGNORE INTO seen VALUES (?)", (webhook_id,)).rowcount:
            for row in told["data"]["allocations"]:
                # Also right when a withdrawal overtakes the import. 撤回先到也不會錯。
                DB.execute(
                    """INSERT INTO numbers VALUES (:ban, :invoice_type, :year_month, :invoice_track,
                       :invoice_begin_no, :invoice_end_no, :imported_at, ifnull(:withdrawn_at, ''))
                       ON CONFLICT DO UPDATE SET
                       imported_at = max(imported_at, excluded.imported_at),
                       withdrawn_at = max(withdrawn_at, excluded.withdrawn_at)""", row)
    return 200, "ok"


class Receiver(BaseHTTPRequestHandler):
    timeout = 20

    def do_POST(self):
        size = int(self.headers.get("content-length", 0))
        status, words = (413, "too large") if size > 2**24 else take(self.headers, self.rfile.read(size))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(words.encode())


server = HTTPServer(("127.0.0.1", int(os.environ.get("PORT", 8080))), Receiver)
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
