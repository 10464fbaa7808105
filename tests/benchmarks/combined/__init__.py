"""What users put around a UNet in their graphs, each as a Combination: the rows of the benchmark `what_works`."""
