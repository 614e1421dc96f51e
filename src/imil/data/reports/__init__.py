"""Radiologists' final labels of images: from a table, from FHIR or from DICOM reports."""
