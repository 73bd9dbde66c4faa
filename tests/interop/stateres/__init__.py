"""Random rooms, Synapse's resolver and Pli's, for stateres_suite.py."""
