bind = "127.204.132.11:8000"
workers = 3
timeout = 10
accesslog = "/srv/lab/gunicorn-access.log"
errorlog = "/srv/lab/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
