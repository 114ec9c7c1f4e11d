bind = "127.27.100.11:8000"
workers = 3
accesslog = "/srv/lab/gunicorn-access.log"
errorlog = "/srv/lab/gunicorn.log"
