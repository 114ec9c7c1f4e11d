bind = "127.172.79.11:8000"
workers = 3
accesslog = "/srv/lab/gunicorn-access.log"
errorlog = "/srv/lab/gunicorn.log"
