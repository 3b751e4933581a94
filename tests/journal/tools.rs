//! Snakemake and Slurm around shards; only with GRADSWEEP_FULL=1, where these are installed.
