import json
import os
import random
import time
import urllib.request

BILLING = os.environ.get("BILLING_URL", "http://billing.internal/invoices")


def invoices(customer):
    with urllib.request.urlopen(f"{BILLING}?customer={customer}") as reply:
        return json.load(reply)


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/invoices/"):
        body = {"invoices": invoices(path.rsplit("/", 1)[1])}
    else:
        time.sleep(random.uniform(0.003, 0.03))
        body = {"path": path, "items": ["lamp", "chair", "desk"]}
    status = "201 Created" if environ["REQUEST_METHOD"] == "POST" else "200 OK"
    data = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
