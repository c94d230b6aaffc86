"""What seqvae costs, each figure beside a baseline that is measured in the same run. See README.md."""
