bind = "127.85.85.11:8000"
workers = 2
threads = 8
max_requests = 40
keepalive = 75
accesslog = "/srv/lab/gunicorn-access.log"
errorlog = "/srv/lab/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
