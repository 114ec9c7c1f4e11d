bind = "unix:/srv/lab/gunicorn.sock"
workers = 3
umask = 0o077
accesslog = "/srv/lab/gunicorn-access.log"
errorlog = "/srv/lab/gunicorn.log"
access_log_format = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(L)s %({x-request-id}i)s'
