"""`python -m seqvae` is the command `seqvae`."""

import sys

from seqvae.cli.app import main

sys.exit(main())
