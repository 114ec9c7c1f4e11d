import json
import random
import time

CUSTOMERS = {n: f"Customer {n}" for n in range(1, 401)}
for n in range(0, 401, 8):
    CUSTOMERS[n] = f"Customer {n}\nc/o Harbour Office"  # imported with a line break


def app(environ, start_response):
    path = environ["PATH_INFO"]
    time.sleep(random.uniform(0.003, 0.03))
    headers = [("Content-Type", "application/json")]
    if path.startswith("/customers/"):
        headers.append(("X-Customer-Name", CUSTOMERS[int(path.rsplit("/", 1)[1])]))
    status = "201 Created" if environ["REQUEST_METHOD"] == "POST" else "200 OK"
    data = json.dumps({"path": path, "items": ["lamp", "chair", "desk"]}).encode()
    start_response(status, headers + [("Content-Length", str(len(data)))])
    return [data]
