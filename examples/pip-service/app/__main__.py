import logging
import os

import waitress

from app.service import new_app

logging.basicConfig(level=logging.INFO)
waitress.serve(new_app(), host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), ident=None)
